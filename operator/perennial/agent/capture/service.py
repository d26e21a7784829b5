"""The capture sidecar's life: listen, forward, answer the kubelet, drain, write the rest, end."""

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

from perennial.agent.capture.listener import Listener
from perennial.agent.capture.recorder import Counters, Recorder
from perennial.agent.capture.tap import ClientHalf
from perennial.agent.records.files import load
from perennial.agent.storage.client import open_storage
from perennial.api.contract.commands import CaptureConfig

log = logging.getLogger(__name__)

DRAIN_SECONDS = 10.0
"""Time for open exchanges to end after SIGTERM; the kubelet has taken the pod out of the Service by then."""
FLUSH_SECONDS = 20.0
_BACKLOG = 1024
_SWITCH_SECONDS = 0.0002
_LOOK_EVERY = 0.05
_HEAD = b"HTTP/1.1 %s\r\ncontent-type: text/plain; version=0.0.4\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"
_HELP = {
    "captured": "Exchanges taken into the buffer.",
    "written": "Exchanges written to storage.",
    "dropped": "Exchanges lost: no room, no parse, or no storage before the end.",
    "flush_errors": "Writes to storage that failed and were tried again.",
}


class Service:
    """The servers of one sidecar."""

    def __init__(self, config: CaptureConfig, recorder: Recorder) -> None:
        """Forward from the listening port to the upstream port."""
        self._config, self._recorder = config, recorder
        self._open: set[ClientHalf] = set()
        self._stop = asyncio.Event()
        self._idle = asyncio.Event()

    async def run(self) -> None:
        """Serve until SIGTERM, then drain and write the rest."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        # Held back since the first line of `__main__`, so that none was lost before the loop could hear it.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        port = self._config.listen_port
        tap = await loop.create_server(self._client, sock=listening(port))
        told = await asyncio.start_server(self._tell, sock=listening(port + 1))
        log.info("passing port %d on to %d", self._config.listen_port, self._config.upstream_port)
        await self._stop.wait()
        tap.close()
        await self._drain()
        told.close()
        await asyncio.to_thread(self._recorder.close, FLUSH_SECONDS)
        log.info("ended: %s", asdict(self._recorder.counters))

    def _client(self) -> ClientHalf:
        recorder = self._recorder
        listener = Listener(self._config.max_body_bytes, recorder)
        half = ClientHalf(self._config.upstream_port, listener, self._closed)
        self._open.add(half)
        return half

    def _closed(self, half: ClientHalf) -> None:
        self._open.discard(half)
        if self._stop.is_set() and not self._open:
            self._idle.set()

    async def _drain(self) -> None:
        """Let open exchanges end, for a while; connections on which nothing is under way are closed at once."""
        end = asyncio.get_running_loop().time() + DRAIN_SECONDS
        while self._open and asyncio.get_running_loop().time() < end:
            for half in [half for half in self._open if half.idle]:
                half.close()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._idle.wait(), _LOOK_EVERY)
        for half in tuple(self._open):
            half.close()

    async def _tell(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer /healthz and /metrics; anything else is not found."""
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
    """Return the counters in Prometheus' text format."""
    lines: list[str] = []
    for name, value in asdict(counters).items():
        metric = f"perennial_capture_{name}_total"
        lines += [f"# HELP {metric} {_HELP[name]}", f"# TYPE {metric} counter", f"{metric} {value}"]
    return "\n".join(lines) + "\n"


def listening(port: int) -> socket.socket:
    """Return a socket that takes connections from everywhere, by IPv6 where the machine has it and by IPv4."""
    if socket.has_dualstack_ipv6():
        try:
            return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=_BACKLOG)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise
    return socket.create_server(("", port), backlog=_BACKLOG)


def run(config: CaptureConfig) -> None:
    """Run the sidecar until SIGTERM."""
    # The writing thread must not hold the interpreter for the usual 5 ms while a prediction waits.
    sys.setswitchinterval(_SWITCH_SECONDS)
    load(config.format or "JsonLines")
    recorder = Recorder(config, open_storage(config.storage).put_bytes)
    recorder.start()
    # What is loaded by now lives as long as the process; looking through it for cycles took 50 ms each time.
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
