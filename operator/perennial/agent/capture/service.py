"""Lifecycle of the capture sidecar: serve proxy, health and metrics; on SIGTERM drain, flush and exit."""

import asyncio
import errno
import gc
import logging
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict

from perennial.agent.capture.parser import ExchangeParser
from perennial.agent.capture.proxy import ClientConnection
from perennial.agent.capture.recorder import Counters, Recorder
from perennial.agent.records.files import warm_up
from perennial.agent.storage.opening import open_storage
from perennial.api.contract.commands import CaptureConfig
from perennial.api.modeldeployment.capture import RequestId

log = logging.getLogger(__name__)

DRAIN_SECONDS = 10.0
"""Time for open exchanges to end after SIGTERM."""
FLUSH_SECONDS = 20.0
_BACKLOG = 1024
_SWITCH_SECONDS = 0.0002
_POLL_SECONDS = 0.05
_HEAD = b"HTTP/1.1 %s\r\ncontent-type: text/plain; version=0.0.4\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"
_HELP = {
    "captured": "Exchanges buffered.",
    "written": "Exchanges written to storage.",
    "dropped": "Exchanges dropped: buffer full, not HTTP/1, parse error, or not written before the exit.",
    "flush_errors": "Failed writes to storage; they are retried.",
}


class Service:
    """Proxy, health and metrics servers of one sidecar."""

    def __init__(self, config: CaptureConfig, recorder: Recorder) -> None:
        """Forward `listen_port` to `upstream_port`; health and metrics are on the port after `listen_port`."""
        self._config, self._recorder = config, recorder
        self._connections: set[ClientConnection] = set()
        self._stop = asyncio.Event()
        self._idle = asyncio.Event()

    async def run(self) -> None:
        """Serve until SIGTERM, then drain and flush."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        # Blocked since the start of `__main__`, so that no signal is lost before the handler is installed.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        port = self._config.listen_port
        proxy = await loop.create_server(self._client, sock=listening(port))
        status = await asyncio.start_server(self._serve_status, sock=listening(port + 1))
        log.info("forwarding port %d to %d", self._config.listen_port, self._config.upstream_port)
        await self._stop.wait()
        proxy.close()
        await self._drain()
        status.close()
        await asyncio.to_thread(self._recorder.close, FLUSH_SECONDS)
        log.info("exiting: %s", asdict(self._recorder.counters))

    def _client(self) -> ClientConnection:
        recorder = self._recorder
        source = self._config.id or RequestId()
        parser = ExchangeParser(self._config.max_body_bytes, recorder, source.header)
        connection = ClientConnection(self._config.upstream_port, parser, self._closed)
        self._connections.add(connection)
        return connection

    def _closed(self, connection: ClientConnection) -> None:
        self._connections.discard(connection)
        if self._stop.is_set() and not self._connections:
            self._idle.set()

    async def _drain(self) -> None:
        """Wait for open exchanges; idle connections are closed immediately, others after DRAIN_SECONDS."""
        end = asyncio.get_running_loop().time() + DRAIN_SECONDS
        while self._connections and asyncio.get_running_loop().time() < end:
            for connection in [connection for connection in self._connections if connection.idle]:
                connection.close()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._idle.wait(), _POLL_SECONDS)
        for connection in tuple(self._connections):
            connection.close()

    async def _serve_status(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve /healthz and /metrics; anything else is 404."""
        try:
            first = await asyncio.wait_for(reader.readline(), 5)
            while (await asyncio.wait_for(reader.readline(), 5)).strip():
                pass
            path = [*first.split(), b"", b""][1]
            pages = {b"/healthz": b"ok\n", b"/metrics": metrics(self._recorder.counters).encode()}
            body = pages.get(path, b"not found\n")
            status = b"200 OK" if path in pages else b"404 Not Found"
            writer.write(_HEAD % (status, len(body)) + body)
            await writer.drain()
        except (TimeoutError, ConnectionError, ValueError):
            pass
        finally:
            writer.close()


def metrics(counters: Counters) -> str:
    """Render the counters in the Prometheus text format."""
    lines: list[str] = []
    for name, value in asdict(counters).items():
        metric = f"perennial_capture_{name}_total"
        lines += [f"# HELP {metric} {_HELP[name]}", f"# TYPE {metric} counter", f"{metric} {value}"]
    return "\n".join(lines) + "\n"


def listening(port: int) -> socket.socket:
    """Open a listening socket on all addresses, dual-stack if IPv6 is available."""
    if socket.has_dualstack_ipv6():
        try:
            return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=_BACKLOG)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise
    return socket.create_server(("", port), backlog=_BACKLOG)


def run(config: CaptureConfig) -> None:
    """Run the sidecar until SIGTERM."""
    # The writer thread must not hold the interpreter for the default 5 ms while a prediction waits.
    sys.setswitchinterval(_SWITCH_SECONDS)
    warm_up(config.format or "JsonLines")
    recorder = Recorder(config, open_storage(config.storage).put_bytes)
    recorder.start()
    # Freeze the objects loaded so far: scanning them took 50 ms in every full collection.
    gc.collect()
    gc.freeze()

    async def serve() -> None:
        await Service(config, recorder).run()

    with asyncio.Runner(loop_factory=_fast_loop()) as runner:
        runner.run(serve())


def _fast_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # absent on some platforms
    except ImportError:
        return None
    return uvloop.new_event_loop
