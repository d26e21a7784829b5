"""Forwards bytes between a client and the model server, one connection to one, with back-pressure both ways."""

import asyncio
import logging
from collections.abc import Callable
from typing import cast

from perennial.agent.capture.listener import Listener

log = logging.getLogger(__name__)

HIGH_WATER = 256 * 1024
"""Bytes that may wait for a slow reader before the other side is asked to pause."""
_LINGER_SECONDS = 1.0
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
        self._peer_slow = False
        self._reading = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(high=HIGH_WATER)

    def join(self, peer: "Half") -> None:
        """Forward to a peer from now on, beginning with what came before it was there."""
        self.peer = peer
        early, self._early = self._early, []
        for data in early:
            self._forward(data)
        if self._early_end:
            self._end_peer()
        self._read_or_pause()

    def data_received(self, data: bytes) -> None:
        """Forward, then listen."""
        if self.peer is not None:
            self._forward(data)
        else:
            self._early.append(data)
            self._read_or_pause()

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
            self.peer.peer_slow(True)

    def resume_writing(self) -> None:
        """This side has caught up."""
        if self.peer is not None:
            self.peer.peer_slow(False)

    def peer_slow(self, slow: bool) -> None:
        """Leave what comes in the kernel's buffer while the other side is slow, so that the sender feels it."""
        self._peer_slow = slow
        self._read_or_pause()

    def _read_or_pause(self) -> None:
        """Read unless the other side is slow, or not there yet while something waits for it already."""
        reading = not self._peer_slow and not (self.peer is None and self._early)
        if self.transport is None or self.transport.is_closing() or reading == self._reading:
            return
        self._reading = reading
        if reading:
            self.transport.resume_reading()
        else:
            self.transport.pause_reading()

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
        self._refused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connect to the server."""
        super().connection_made(transport)
        self._connecting = asyncio.get_running_loop().create_task(self._connect())

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.create_connection(lambda: ServerHalf(self, self._listener), "127.0.0.1", self._port)
        except OSError as error:
            log.warning("the model server does not answer on port %d: %s", self._port, error)
            self._refuse()

    def _refuse(self) -> None:
        """Answer 502, and read on for a moment: closing on unread bytes would reset the connection, answer and all."""
        self._refused = True
        self._early.clear()
        self._read_or_pause()
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(_UNAVAILABLE)
            self.transport.write_eof()
            asyncio.get_running_loop().call_later(_LINGER_SECONDS, self.close)

    @property
    def idle(self) -> bool:
        """Tell whether it is certain that no request is under way."""
        return self._listener.idle

    def data_received(self, data: bytes) -> None:
        """Forward, or take no notice when there is nobody to forward to."""
        if not self._refused:
            super().data_received(data)

    def eof_received(self) -> bool:
        """Pass it on; without a server this was all."""
        return False if self._refused else super().eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop listening and let the server know."""
        super().connection_lost(exc)
        self._listener.stop()
        self._closed(self)


class ServerHalf(Half):
    """The model server's side."""

    def __init__(self, client: ClientHalf, listener: Listener) -> None:
        """Tell the listener what the server answers."""
        super().__init__(listener.from_server)
        self._client, self._listener = client, listener

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Join the two halves, unless the client has left meanwhile."""
        super().connection_made(transport)
        if self._client.gone:
            self.close()
            return
        self.join(self._client)
        self._client.join(self)

    def eof_received(self) -> bool:
        """A server that ends its side is done with the connection: close, once everything has been passed on."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The last answer may have had no length."""
        self._listener.server_ended()
        super().connection_lost(exc)
