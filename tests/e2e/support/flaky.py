"""A TCP proxy on this machine that breaks connections off, between a pod and the S3 server."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress


class FlakyProxy:
    """Forwards connections; the first `broken` answers end after `budget` bytes, without a word."""

    def __init__(self, host: str, upstream: tuple[str, int], *, budget: int, broken: int) -> None:
        """Listen on an address of this machine that pods reach."""
        self._host, self._upstream = host, upstream
        self._budget, self._left = budget, broken
        self._loop = asyncio.new_event_loop()
        self.port = 0
        self.cut = 0

    @property
    def endpoint(self) -> str:
        """Return the URL for pods."""
        return f"http://{self._host}:{self.port}"

    @contextmanager
    def running(self) -> Iterator["FlakyProxy"]:
        """Serve in a thread until the context ends."""
        started = threading.Event()

        async def serve() -> None:
            server = await asyncio.start_server(self._connection, self._host, 0)
            self.port = server.sockets[0].getsockname()[1]
            started.set()
            async with server:
                await server.serve_forever()

        def run() -> None:
            with suppress(asyncio.CancelledError):
                self._loop.run_until_complete(task)
            for left in asyncio.all_tasks(self._loop):
                left.cancel()
                with suppress(asyncio.CancelledError):
                    self._loop.run_until_complete(left)
            self._loop.close()

        task = self._loop.create_task(serve())
        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        started.wait(10)
        try:
            yield self
        finally:
            self._loop.call_soon_threadsafe(task.cancel)
            thread.join(10)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            up_reader, up_writer = await asyncio.open_connection(*self._upstream)
            try:
                await asyncio.gather(self._ask(reader, up_writer), self._answer(up_reader, writer))
            finally:
                for each in (up_writer, writer):
                    each.transport.abort()

    async def _ask(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()

    async def _answer(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        passed = 0
        while data := await source.read(65536):
            passed += len(data)
            if passed > self._budget and self._left > 0:
                self._left -= 1
                self.cut += 1
                raise ConnectionResetError
            sink.write(data)
            await sink.drain()
        raise ConnectionResetError


@contextmanager
def unanswered(host: str) -> Iterator[str]:
    """Return an endpoint whose connections are never answered, as where a NetworkPolicy drops what pods send.

    The embedded network enforces no NetworkPolicy; the kernel, too, drops what does not fit a full queue.
    """
    with ExitStack() as held:
        server = held.enter_context(socket.create_server((host, 0), backlog=0))
        for _ in range(4):
            client = held.enter_context(socket.socket())
            client.setblocking(False)
            with suppress(BlockingIOError):
                client.connect(server.getsockname())
        yield f"http://{host}:{server.getsockname()[1]}"
