"""Reads along both directions of a connection and pairs requests with answers. It never sees the bytes first."""

import time
from collections import deque
from typing import Any, Protocol

import httptools

from perennial.agent.capture.exchange import OVERHEAD, Budget, Exchange, Message

_MOST_WAITING = 128
"""Requests that may be under way on one connection; a client that sends more ahead is passed on unrecorded."""
_INTERIM = range(100, 200)


class Sink(Protocol):
    """Where exchanges go."""

    budget: Budget

    def wanted(self, method: str) -> bool:
        """Tell whether a request is to be recorded."""

    def take(self, exchange: Exchange) -> None:
        """Keep an exchange, with what it holds of the budget."""

    def lost(self) -> None:
        """Count a record that could not be made."""


class Listener:
    """Both directions of one connection. After anything it does not understand it stops listening, for good."""

    def __init__(self, limit: int, sink: Sink) -> None:
        """Keep bodies up to `limit` bytes."""
        self.limit, self.sink = limit, sink
        self.waiting: deque[Exchange] = deque()
        """Requests that have begun and have no whole answer yet, in order."""
        self._asks, self._answers = _Asks(self), _Answers(self)
        self._listening = True

    @property
    def idle(self) -> bool:
        """Tell whether it is certain that no request is under way; where it does not listen it cannot know."""
        return self._listening and not self.waiting

    def from_client(self, data: bytes) -> None:
        """Read what was sent on to the server."""
        self._feed(self._asks.parser, data)

    def from_server(self, data: bytes) -> None:
        """Read what was sent on to the client."""
        self._feed(self._answers.parser, data)

    def server_ended(self) -> None:
        """The server closed its side, which also ends an answer whose length no header told."""
        if self._listening and self._answers.ends_with_connection():
            self._answers.on_message_complete()
        self.stop()

    def stop(self) -> None:
        """Stop listening; what still waits for its answer is lost."""
        self._listening = False
        while self.waiting:
            self.drop(self.waiting.popleft())

    def drop(self, exchange: Exchange) -> None:
        """Give up an exchange."""
        if exchange.wanted:
            exchange.wanted = False
            self.sink.budget.give_back(exchange.size)
            self.sink.lost()

    def _feed(self, parser: Any, data: bytes) -> None:
        if not self._listening:
            return
        try:
            parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            # What follows is another protocol.
            self.stop()
        except httptools.HttpParserError:
            if not any(exchange.wanted for exchange in self.waiting):
                self.sink.lost()
            self.stop()


class _Asks:
    """Callbacks of the parser of requests."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._exchange = Exchange()
        self.parser: Any = httptools.HttpRequestParser(self)

    def on_message_begin(self) -> None:
        # In line from its first byte on: a server may answer before it has read the whole request.
        self._exchange = Exchange()
        self._listener.waiting.append(self._exchange)

    def on_url(self, url: bytes) -> None:
        self._exchange.add_target(url.decode("latin-1"))

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        self._exchange.request.header(name, value)
        if name == b"x-request-id":
            self._exchange.name(value)

    def on_headers_complete(self) -> None:
        exchange, listener = self._exchange, self._listener
        exchange.method = self.parser.get_method().decode("latin-1")
        if exchange.method == "HEAD" or len(listener.waiting) > _MOST_WAITING:
            # The answer to HEAD tells of a body that does not come, which the parser cannot know.
            listener.stop()
        elif listener.sink.wanted(exchange.method):
            exchange.wanted = listener.sink.budget.take(OVERHEAD)
            if not exchange.wanted:
                listener.sink.lost()

    def on_body(self, data: bytes) -> None:
        if self._exchange.wanted:
            self._exchange.request.take(data, self._listener.limit, self._listener.sink.budget)

    def on_message_complete(self) -> None:
        self._exchange.asked = True
        self._exchange.wall, self._exchange.start = time.time(), time.perf_counter()


class _Answers:
    """Callbacks of the parser of answers."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._message = Message()
        self._status = 0
        self._open = False
        self.parser: Any = httptools.HttpResponseParser(self)

    def on_message_begin(self) -> None:
        self._message, self._status, self._open = Message(), 0, True

    def on_header(self, name: bytes, value: bytes) -> None:
        self._message.header(name.lower(), value)

    def on_headers_complete(self) -> None:
        self._status = self.parser.get_status_code()
        if self._listener.waiting:
            self._listener.waiting[0].response = self._message

    def on_body(self, data: bytes) -> None:
        listener = self._listener
        if listener.waiting and listener.waiting[0].wanted:
            self._message.take(data, listener.limit, listener.sink.budget)

    def on_message_complete(self) -> None:
        self._open = False
        listener = self._listener
        if self._status in _INTERIM or not listener.waiting:
            return
        exchange = listener.waiting.popleft()
        if not exchange.asked or exchange.request.refused or exchange.response.refused:
            listener.drop(exchange)
        elif exchange.wanted:
            exchange.status = self._status
            exchange.seconds = time.perf_counter() - exchange.start
            listener.sink.take(exchange)

    def ends_with_connection(self) -> bool:
        """Tell whether an answer is open that only the end of the connection ends."""
        return self._open and self._status > 0 and not self._message.framed
