"""Parses both directions of a connection and pairs requests with responses. Bytes have been forwarded before."""

import time
from collections import deque
from typing import Any, Protocol

import httptools

from perennial.agent.capture.exchange import OVERHEAD, Budget, Exchange, Message
from perennial.api.modeldeployment.capture import RequestId

_MAX_PIPELINED = 128
"""Maximum number of pipelined requests per connection; beyond it the connection is no longer recorded."""
_INTERIM = range(100, 200)
_FRAMING = frozenset({b"content-length", b"transfer-encoding"})


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
    """Parser of both directions of one connection.

    Capture of the connection ends at a response that cannot be parsed, or when the server accepts another protocol.
    Requests after it are counted as dropped as long as they can be parsed.
    """

    def __init__(self, limit: int, sink: Sink, id_header: str = RequestId().header) -> None:
        """Keep bodies up to `limit` bytes, and the value of the request header `id_header`."""
        self.limit, self.sink = limit, sink
        self.id_header = id_header.lower().encode("latin-1", "replace")
        self.waiting: deque[Exchange] = deque()
        """Requests without a complete response, in order."""
        self.capturing = True
        self._readable = True
        self._requests, self._responses = _RequestCallbacks(self), _ResponseCallbacks(self)

    @property
    def idle(self) -> bool:
        """Whether no request is in flight. False once capture has ended, since it cannot know."""
        return self.capturing and not self.waiting

    def from_client(self, data: bytes) -> None:
        """Parse bytes sent to the server."""
        if not self._readable:
            return
        try:
            self._requests.feed(data)
        except httptools.HttpParserError:
            self._lose_protocol()

    def from_server(self, data: bytes) -> None:
        """Parse bytes sent to the client."""
        if not self.capturing:
            return
        try:
            self._responses.feed(data)
        except httptools.HttpParserUpgrade:
            self._lose_protocol()
        except httptools.HttpParserError:
            if not self._drop_waiting():
                self.sink.lost()
            self.end_capture()

    def server_ended(self) -> None:
        """Handle the end of the server's stream, which completes a response without a length header."""
        if self.capturing and self._responses.ends_with_connection():
            self._responses.on_message_complete()
        self.stop()

    def stop(self) -> None:
        """Stop parsing; requests without a complete response are dropped."""
        self._readable = False
        self.end_capture()

    def end_capture(self) -> None:
        """Drop all requests without a complete response, and every later one."""
        self.capturing = False
        self._drop_waiting()

    def drop(self, exchange: Exchange) -> None:
        """Drop an exchange and release its bytes."""
        if exchange.sampled:
            exchange.sampled = False
            self.sink.budget.release(exchange.size)
            self.sink.lost()

    def _lose_protocol(self) -> None:
        """Stop at bytes of another protocol. How many requests follow is unknown, so at least one is counted."""
        counted = self._drop_waiting()
        if not counted:
            self.sink.lost()
        self.stop()

    def _drop_waiting(self) -> bool:
        """Drop all requests without a complete response; return whether one of them was counted."""
        counted = any(exchange.sampled for exchange in self.waiting)
        while self.waiting:
            self.drop(self.waiting.popleft())
        return counted


class _RequestCallbacks:
    """Callbacks of the request parser."""

    def __init__(self, owner: ExchangeParser) -> None:
        self._owner = owner
        self._exchange = Exchange()
        self._framing: list[bytes] = []
        self._resumed = False
        self._parser: Any = httptools.HttpRequestParser(self)

    def feed(self, data: bytes) -> None:
        """Parse a chunk.

        Raises:
            httptools.HttpParserError: it is not HTTP/1.
        """
        while data:
            try:
                self._parser.feed_data(data)
            except httptools.HttpParserUpgrade as offer:
                # The server may ignore an offer to upgrade, and reads the body as HTTP/1 in any case.
                data = data[offer.args[0] :]
                self._resume()
            else:
                return

    def _resume(self) -> None:
        """Continue behind the headers of an offer to upgrade, where the parser stops.

        A new parser receives headers with the same framing of the body, but without the offer.
        """
        self._parser = httptools.HttpRequestParser(self)
        if not self._framing:
            return
        self._resumed = True
        self._parser.feed_data(b"POST / HTTP/1.1\r\n" + b"".join(self._framing) + b"\r\n")

    def on_message_begin(self) -> None:
        if self._resumed:
            return
        # Queued from its first byte on: a server may respond before it has read the whole request.
        self._exchange, self._framing = Exchange(), []
        if self._owner.capturing:
            self._owner.waiting.append(self._exchange)

    def on_url(self, url: bytes) -> None:
        if not self._resumed:
            self._exchange.add_target(url.decode("latin-1"))

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._resumed:
            return
        name = name.lower()
        self._exchange.request.header(name, value)
        if name in _FRAMING:
            self._framing.append(b"%s: %s\r\n" % (name, value))
        if name == self._owner.id_header:
            self._exchange.name(value)

    def on_headers_complete(self) -> None:
        if self._resumed:
            return
        exchange, owner = self._exchange, self._owner
        exchange.method = self._parser.get_method().decode("latin-1")
        if owner.capturing and len(owner.waiting) > _MAX_PIPELINED:
            owner.end_capture()
        if owner.sink.wanted(exchange.method):
            exchange.sampled = owner.capturing and owner.sink.budget.take(OVERHEAD)
            if not exchange.sampled:
                owner.sink.lost()

    def on_body(self, data: bytes) -> None:
        if self._exchange.sampled:
            self._exchange.request.take(data, self._owner.limit, self._owner.sink.budget)

    def on_message_complete(self) -> None:
        if self._parser.should_upgrade() and self._framing:
            return  # Only the headers are complete: the body follows.
        self._resumed, self._framing = False, []
        self._exchange.request_complete = True
        self._exchange.wall, self._exchange.start = time.time(), time.perf_counter()


class _ResponseCallbacks:
    """Callbacks of the response parser."""

    def __init__(self, owner: ExchangeParser) -> None:
        self._owner = owner
        self._message = Message()
        self._status = 0
        self._open = False
        self._headers_only = False
        self._parser: Any = httptools.HttpResponseParser(self)

    def feed(self, data: bytes) -> None:
        """Parse a chunk.

        Raises:
            httptools.HttpParserUpgrade: the server has accepted another protocol.
            httptools.HttpParserError: it is not HTTP/1.
        """
        rest = deque([data])
        while rest and self._owner.capturing:
            piece = rest.popleft()
            if not rest and any(exchange.method == "HEAD" for exchange in self._owner.waiting):
                # The parser cannot know that a response to HEAD has no body. Line by line, no bytes behind its
                # headers are parsed as a body.
                rest = deque(piece.splitlines(keepends=True))
                piece = rest.popleft()
            self._parser.feed_data(piece)
            if self._headers_only:
                self.on_message_complete()
                self._parser = httptools.HttpResponseParser(self)

    def on_message_begin(self) -> None:
        self._message, self._status, self._open, self._headers_only = Message(), 0, True, False

    def on_header(self, name: bytes, value: bytes) -> None:
        self._message.header(name.lower(), value)

    def on_headers_complete(self) -> None:
        self._status = self._parser.get_status_code()
        if self._owner.waiting:
            self._owner.waiting[0].response = self._message
            self._headers_only = self._owner.waiting[0].method == "HEAD" and self._status not in _INTERIM

    def on_body(self, data: bytes) -> None:
        owner = self._owner
        if owner.waiting and owner.waiting[0].sampled:
            self._message.take(data, owner.limit, owner.sink.budget)

    def on_message_complete(self) -> None:
        self._open = self._headers_only = False
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
