"""Reads along both directions of a connection and pairs requests with answers. It never sees the bytes first."""

import time
from collections import deque
from collections.abc import Callable
from typing import Any

import httptools

from perennial.agent.capture.exchange import Exchange, Message

_MOST_WAITING = 128
"""Requests that may be under way on one connection; a client that sends more ahead is passed on unrecorded."""
_CONTINUE = range(100, 200)


class Side:
    """Callbacks of one parser; they fill a message and hand it on when it is whole."""

    def __init__(self, limit: int, done: Callable[[Message], None]) -> None:
        """Keep bodies up to `limit` bytes."""
        self._limit, self._done = limit, done
        self.message = Message()
        self.complete = True

    def on_message_begin(self) -> None:
        """Start a new message."""
        self.message = Message()
        self.complete = False

    def on_url(self, url: bytes) -> None:
        """Add to the target, which may come in pieces."""
        self.message.target += url.decode("latin-1")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header."""
        self.message.headers[name.lower()] = value

    def on_body(self, data: bytes) -> None:
        """Keep a piece of the body."""
        self.message.take(data, self._limit)

    def on_message_complete(self) -> None:
        """Hand the message on."""
        self.complete = True
        self._done(self.message)


class Listener:
    """Both directions of one connection. After anything it does not understand it stops listening, for good."""

    def __init__(
        self,
        limit: int,
        wanted: Callable[[Message], bool],
        found: Callable[[Exchange], None],
        lost: Callable[[], None],
    ) -> None:
        """Hand every exchange whose request is wanted to `found`; `lost` counts those that could not be read."""
        self._wanted, self._found, self._lost = wanted, found, lost
        self._waiting: deque[tuple[Message, float, float]] = deque()
        self._request = Side(limit, self._asked)
        self._requests: Any = httptools.HttpRequestParser(self._request)
        self._answer = Side(limit, self._answered)
        self._answers: Any = httptools.HttpResponseParser(self._answer)
        self._listening = True

    @property
    def idle(self) -> bool:
        """Tell whether nothing is under way: no request half sent, none without its answer."""
        return self._listening and not self._waiting and self._request.complete

    def from_client(self, data: bytes) -> None:
        """Read what was sent on to the server."""
        self._feed(self._requests, data)

    def from_server(self, data: bytes) -> None:
        """Read what was sent on to the client."""
        self._feed(self._answers, data)

    def server_ended(self) -> None:
        """The server closed its side: an answer without a length, of which something came, is whole now."""
        if self._listening and self._waiting and self._answer.message.headers and not self._answer.complete:
            self._answered(self._answer.message)
        self.stop()

    def stop(self) -> None:
        """Stop listening; what still waits for its answer is lost."""
        if self._listening:
            self._listening = False
            for request, _, _ in self._waiting:
                if self._wanted(request):
                    self._lost()
        self._waiting.clear()

    def _feed(self, parser: Any, data: bytes) -> None:
        if not self._listening:
            return
        try:
            parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            # What follows is another protocol.
            self.stop()
        except httptools.HttpParserError:
            self._lost()
            self.stop()

    def _asked(self, request: Message) -> None:
        request.method = self._requests.get_method().decode("latin-1")
        if len(self._waiting) >= _MOST_WAITING:
            self.stop()
            return
        self._waiting.append((request, time.time(), time.perf_counter()))

    def _answered(self, response: Message) -> None:
        response.status = self._answers.get_status_code()
        if response.status in _CONTINUE or not self._waiting:
            return
        request, wall, start = self._waiting.popleft()
        if self._wanted(request):
            self._found(Exchange(request, response, wall, time.perf_counter() - start))
