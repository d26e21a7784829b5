"""Parses both directions of a connection and pairs requests with responses. Bytes have been forwarded before."""

import time
from collections import deque
from typing import Any, Protocol

import httptools

from perennial.agent.capture.exchange import OVERHEAD, Budget, Exchange, Message

_MAX_PIPELINED = 128
"""Maximum number of pipelined requests per connection; beyond it the connection is no longer recorded."""
_INTERIM = range(100, 200)


class Sink(Protocol):
    """Receiver of exchanges."""

    budget: Budget

    def wanted(self, method: str) -> bool:
        """Whether to record a request."""

    def take(self, exchange: Exchange) -> None:
        """Buffer an exchange, whose bytes stay reserved in the budget."""

    def lost(self) -> None:
        """Count a dropped record."""


class ExchangeParser:
    """Parser of both directions of one connection. After a parse error it stops for good."""

    def __init__(self, limit: int, sink: Sink) -> None:
        """Keep bodies up to `limit` bytes."""
        self.limit, self.sink = limit, sink
        self.waiting: deque[Exchange] = deque()
        """Requests without a complete response, in order."""
        self._requests, self._responses = _RequestCallbacks(self), _ResponseCallbacks(self)
        self._active = True

    @property
    def idle(self) -> bool:
        """Whether no request is in flight. False once it has stopped, since it cannot know."""
        return self._active and not self.waiting

    def from_client(self, data: bytes) -> None:
        """Parse bytes sent to the server."""
        self._feed(self._requests.parser, data)

    def from_server(self, data: bytes) -> None:
        """Parse bytes sent to the client."""
        self._feed(self._responses.parser, data)

    def server_ended(self) -> None:
        """Handle the end of the server's stream, which completes a response without a length header."""
        if self._active and self._responses.ends_with_connection():
            self._responses.on_message_complete()
        self.stop()

    def stop(self) -> None:
        """Stop parsing; requests without a complete response are dropped."""
        self._active = False
        while self.waiting:
            self.drop(self.waiting.popleft())

    def drop(self, exchange: Exchange) -> None:
        """Drop an exchange and release its bytes."""
        if exchange.sampled:
            exchange.sampled = False
            self.sink.budget.release(exchange.size)
            self.sink.lost()

    def _feed(self, parser: Any, data: bytes) -> None:
        if not self._active:
            return
        try:
            parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            # The connection switches to another protocol.
            self.stop()
        except httptools.HttpParserError:
            if not any(exchange.sampled for exchange in self.waiting):
                self.sink.lost()
            self.stop()


class _RequestCallbacks:
    """Callbacks of the request parser."""

    def __init__(self, owner: ExchangeParser) -> None:
        self._owner = owner
        self._exchange = Exchange()
        self.parser: Any = httptools.HttpRequestParser(self)

    def on_message_begin(self) -> None:
        # Queued from its first byte on: a server may respond before it has read the whole request.
        self._exchange = Exchange()
        self._owner.waiting.append(self._exchange)

    def on_url(self, url: bytes) -> None:
        self._exchange.add_target(url.decode("latin-1"))

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        self._exchange.request.header(name, value)
        if name == b"x-request-id":
            self._exchange.name(value)

    def on_headers_complete(self) -> None:
        exchange, owner = self._exchange, self._owner
        exchange.method = self.parser.get_method().decode("latin-1")
        if exchange.method == "HEAD" or len(owner.waiting) > _MAX_PIPELINED:
            # A response to HEAD has a length but no body, which the parser cannot know.
            owner.stop()
        elif owner.sink.wanted(exchange.method):
            exchange.sampled = owner.sink.budget.take(OVERHEAD)
            if not exchange.sampled:
                owner.sink.lost()

    def on_body(self, data: bytes) -> None:
        if self._exchange.sampled:
            self._exchange.request.take(data, self._owner.limit, self._owner.sink.budget)

    def on_message_complete(self) -> None:
        self._exchange.request_complete = True
        self._exchange.wall, self._exchange.start = time.time(), time.perf_counter()


class _ResponseCallbacks:
    """Callbacks of the response parser."""

    def __init__(self, owner: ExchangeParser) -> None:
        self._owner = owner
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
        if self._owner.waiting:
            self._owner.waiting[0].response = self._message

    def on_body(self, data: bytes) -> None:
        owner = self._owner
        if owner.waiting and owner.waiting[0].sampled:
            self._message.take(data, owner.limit, owner.sink.budget)

    def on_message_complete(self) -> None:
        self._open = False
        owner = self._owner
        if self._status in _INTERIM or not owner.waiting:
            return
        exchange = owner.waiting.popleft()
        if not exchange.request_complete or exchange.request.refused or exchange.response.refused:
            owner.drop(exchange)
        elif exchange.sampled:
            exchange.status = self._status
            exchange.seconds = time.perf_counter() - exchange.start
            owner.sink.take(exchange)

    def ends_with_connection(self) -> bool:
        """Whether a response is in progress that ends with the connection."""
        return self._open and self._status > 0 and not self._message.framed
