"""Forwards bytes between client and model server, one upstream connection per client, with back-pressure."""

import asyncio
import logging
from collections.abc import Callable
from typing import cast

from perennial.agent.capture.parser import ExchangeParser

log = logging.getLogger(__name__)

HIGH_WATER = 256 * 1024
"""Bytes buffered for a slow reader before reading from the other side pauses."""
_LINGER_SECONDS = 1.0
_BODY = b'{"error":"the model server does not answer"}'
_UNAVAILABLE = (
    b"HTTP/1.1 502 Bad Gateway\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%s"
    % (len(_BODY), _BODY)
)


class Connection(asyncio.Protocol):
    """One of the two connections. Data is forwarded to the peer first, then passed to the parser."""

    def __init__(self, parse: Callable[[bytes], None]) -> None:
        """Call `parse` with all forwarded data."""
        self._parse = parse
        self.peer: Connection | None = None
        self.transport: asyncio.Transport | None = None
        self.gone = False
        self._early: list[bytes] = []
        self._early_end = False
        self._peer_slow = False
        self._reading = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Store the transport and set its buffer limit."""
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(high=HIGH_WATER)

    def join(self, peer: "Connection") -> None:
        """Forward to a peer from now on, starting with data received before it was connected."""
        self.peer = peer
        early, self._early = self._early, []
        for data in early:
            self._forward(data)
        if self._early_end:
            self._end_peer()
        self._read_or_pause()

    def data_received(self, data: bytes) -> None:
        """Forward the data, or buffer it until the peer is connected."""
        if self.peer is not None:
            self._forward(data)
        else:
            self._early.append(data)
            self._read_or_pause()

    def _forward(self, data: bytes) -> None:
        if self.peer is not None:
            self.peer.write(data)
        self._parse(data)

    def write(self, data: bytes) -> None:
        """Send to this side, unless it is closed."""
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(data)

    def eof_received(self) -> bool:
        """Forward a half-close and keep this side open for the other direction."""
        if self.peer is None:
            self._early_end = True
        else:
            self._end_peer()
        return True

    def _end_peer(self) -> None:
        transport = self.peer.transport if self.peer is not None else None
        if transport is not None and not transport.is_closing() and transport.can_write_eof():
            transport.write_eof()

    def pause_writing(self) -> None:
        """Pause reading from the peer, since this side is slow."""
        if self.peer is not None:
            self.peer.peer_slow(True)

    def resume_writing(self) -> None:
        """Resume reading from the peer."""
        if self.peer is not None:
            self.peer.peer_slow(False)

    def peer_slow(self, slow: bool) -> None:
        """Pause or resume reading, so that TCP flow control slows the sender."""
        self._peer_slow = slow
        self._read_or_pause()

    def _read_or_pause(self) -> None:
        """Read unless the peer is slow, or data is buffered because it is not connected yet."""
        reading = not self._peer_slow and not (self.peer is None and self._early)
        if self.transport is None or self.transport.is_closing() or reading == self._reading:
            return
        self._reading = reading
        if reading:
            self.transport.resume_reading()
        else:
            self.transport.pause_reading()

    def close(self) -> None:
        """Close after sending everything written."""
        if self.transport is not None:
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Close the peer after sending everything written to it."""
        self.gone = True
        if self.peer is not None:
            self.peer.close()


class ClientConnection(Connection):
    """The client's side: connects to the model server, or responds 502."""

    def __init__(
        self, upstream_port: int, parser: ExchangeParser, closed: Callable[["ClientConnection"], None]
    ) -> None:
        """Forward to a port of this pod; `closed` is called when the client has disconnected."""
        super().__init__(parser.from_client)
        self._port, self._parser, self._closed = upstream_port, parser, closed
        self._connecting: asyncio.Task[None] | None = None
        self._refused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start connecting to the model server."""
        super().connection_made(transport)
        self._connecting = asyncio.get_running_loop().create_task(self._connect())

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.create_connection(lambda: UpstreamConnection(self, self._parser), "127.0.0.1", self._port)
        except OSError as error:
            log.warning("cannot connect to the model server on port %d: %s", self._port, error)
            self._refuse()

    def _refuse(self) -> None:
        """Respond 502 and keep reading briefly: closing with unread data would reset the connection."""
        self._refused = True
        for data in self._early:
            self._parse(data)  # counts the requests as dropped
        self._early.clear()
        self._read_or_pause()
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(_UNAVAILABLE)
            self.transport.write_eof()
            asyncio.get_running_loop().call_later(_LINGER_SECONDS, self.close)

    @property
    def idle(self) -> bool:
        """Whether no request is in flight."""
        return self._parser.idle

    def data_received(self, data: bytes) -> None:
        """Forward the data; after a 502, only count its requests as dropped."""
        if self._refused:
            self._parse(data)
        else:
            super().data_received(data)

    def eof_received(self) -> bool:
        """Forward a half-close, or close after a 502."""
        return False if self._refused else super().eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the parser and close the upstream connection."""
        super().connection_lost(exc)
        self._parser.stop()
        self._closed(self)


class UpstreamConnection(Connection):
    """The model server's side."""

    def __init__(self, client: ClientConnection, parser: ExchangeParser) -> None:
        """Pass responses to the parser."""
        super().__init__(parser.from_server)
        self._client, self._parser = client, parser

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Join both connections, unless the client has disconnected."""
        super().connection_made(transport)
        if self._client.gone:
            self.close()
            return
        self.join(self._client)
        self._client.join(self)

    def eof_received(self) -> bool:
        """Close the connection: a server that ends its stream sends no further response."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Complete a response that ends with the connection."""
        self._parser.server_ended()
        super().connection_lost(exc)
