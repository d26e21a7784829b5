"""Ports for servers that cannot choose one themselves, such as a process that is told its port."""

import platform
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

_TRIES = 100
# A server that sets SO_REUSEADDR, as asyncio and Go do, may listen on a port that is only bound; the kernel gives such
# a port to nobody else. That is so on Linux; elsewhere the server could not listen either.
_HELD = platform.system() == "Linux"


def hold(port: int = 0) -> socket.socket:
    """Bind a socket to a port, or to any free one, without listening: a connection to it is refused."""
    held = socket.socket()
    try:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("", port))
    except OSError:
        held.close()
        raise
    return held


def port_of(held: socket.socket) -> int:
    """Port that a socket is bound to."""
    return int(held.getsockname()[1])


@contextmanager
def reserved(count: int = 1) -> Iterator[int]:
    """Yield the first of some consecutive ports that no other process is given until the context is left."""
    with ExitStack() as stack:
        first, sockets = _consecutive(count)
        for held in sockets:
            if _HELD:
                stack.enter_context(held)
            else:
                held.close()
        yield first


def _consecutive(count: int) -> tuple[int, list[socket.socket]]:
    for _ in range(_TRIES):
        sockets = [hold()]
        first = port_of(sockets[0])
        try:
            sockets.extend(hold(first + offset) for offset in range(1, count))
        except (OSError, OverflowError):  # the next port is taken, or there is none
            for held in sockets:
                held.close()
            continue
        return first, sockets
    raise AssertionError(f"no {count} consecutive free ports")
