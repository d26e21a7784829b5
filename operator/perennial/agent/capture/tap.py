"""Forwards bytes between a client and the model server, one connection to one, with back-pressure both ways."""

import asyncio
import logging
from collections.abc import Callable
from typing import cast

from perennial.agent.capture.listener import Listener

log = logging.getLogger(__name__)

HIGH_WATER = 256 * 1024
"""Bytes that may wait for a slow reader before the other side is asked to pause."""
_BODY = b'{"error":"the model server does not answer"}'
_UNAVAILABLE = (
    b"HTTP/1.1 502 Bad Gateway\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%s"
    % (len(_BODY), _BODY)
)


class Half(asyncio.Protocol):
    """One of the two connections; everything that arrives goes to the other one first."""

    def __init__(self, heard: Callable[[bytes], None]) -> None:
        """Tell `heard` of all that was forwarded."""
        self._heard = heard
        self.peer: Half | None = None
        self.transport: asyncio.Transport | None = None
        self.gone = False
        self._early: list[bytes] = []
        self._early_end = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(high=HIGH_WATER)

    def join(self, peer: "Half") -> None:
        """Forward to a peer from now on, beginning with what came before it was there."""
        self.peer = peer
        for data in self._early:
            self._forward(data)
        self._early.clear()
        if self._early_end:
            self._end_peer()

    def data_received(self, data: bytes) -> None:
        """Forward, then listen."""
        if self.peer is None:
            self._early.append(data)
            # Until the server is there nothing more is read, so that nothing piles up.
            self.pause_reading()
        else:
            self._forward(data)

    def _forward(self, data: bytes) -> None:
        if self.peer is not None:
            self.peer.write(data)
        self._heard(data)

    def write(self, data: bytes) -> None:
        """Send to this side, if it is still there."""
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(data)

    def eof_received(self) -> bool:
        """Pass a half-close on, and keep this side open: the other direction may still flow."""
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
        """This side is slow: read no more from the other."""
        if self.peer is not None:
            self.peer.pause_reading()

    def resume_writing(self) -> None:
        """This side has caught up."""
        if self.peer is not None:
            self.peer.resume_reading()

    def pause_reading(self) -> None:
        """Leave what comes in the kernel's buffer, so that the sender feels it."""
        if self.transport is not None and not self.transport.is_closing():
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        """Read again."""
        if self.transport is not None and not self.transport.is_closing():
            self.transport.resume_reading()

    def close(self) -> None:
        """Close once everything written has been sent."""
        if self.transport is not None:
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio calls it so
        """Close the other side once it has what was written to it."""
        self.gone = True
        if self.peer is not None:
            self.peer.close()


class ClientHalf(Half):
    """The client's side: opens the connection to the server, and answers 502 when there is none."""

    def __init__(self, upstream_port: int, listener: Listener, closed: Callable[["ClientHalf"], None]) -> None:
        """Forward to a port of this pod."""
        super().__init__(listener.from_client)
        self._port, self._listener, self._closed = upstream_port, listener, closed
        self._connecting: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connect to the server."""
        super().connection_made(transport)
        self._connecting = asyncio.get_running_loop().create_task(self._connect())

    @property
    def idle(self) -> bool:
        """Tell whether the client waits for nothing."""
        return self._listener.idle

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            _, server = await loop.create_connection(lambda: ServerHalf(self._listener), "127.0.0.1", self._port)
        except OSError as error:
            log.warning("the model server does not answer on port %d: %s", self._port, error)
            self.write(_UNAVAILABLE)
            self.close()
            return
        if self.gone:
            server.close()
            return
        server.join(self)
        self.join(server)
        self.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop listening and let the server know."""
        super().connection_lost(exc)
        self._listener.stop()
        self._closed(self)


class ServerHalf(Half):
    """The model server's side."""

    def __init__(self, listener: Listener) -> None:
        """Tell the listener what the server answers."""
        super().__init__(listener.from_server)
        self._listener = listener

    def eof_received(self) -> bool:
        """A server that ends its side is done with the connection: close, once everything has been passed on."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The last answer may have had no length."""
        self._listener.server_ended()
        super().connection_lost(exc)
