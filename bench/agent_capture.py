"""What the capture sidecar adds to a prediction's time, in one run on one machine.

A small model server answers a v2 inference request; a client sends requests at a steady rate over kept connections,
straight to it and through the sidecar in turn, while a real S3 server (versitygw) takes the records. Client, model
server, sidecar and storage share the machine, so the figures hold what they take from one another. A request's
time runs from the moment it was due, so that one that had to wait for another counts in full.

    python -m bench.agent_capture [--rate 500] [--seconds 10] [--rounds 5]
"""

import argparse
import asyncio
import json
import os
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from bench.agent_fetch import BUCKET, KEYS, server
from bench.figures import Figure, quantile, table, write
from perennial.api.common.pod import Storage
from perennial.api.contract.commands import CONFIG_VARIABLE, CaptureConfig
from tests.support.ports import reserved

RESULT = Path("build/bench-agent-capture.json")
CONNECTIONS = 16
_FEATURES = 30
_WARM_SECONDS = 1
_ASKED = json.dumps(
    {"inputs": [{"name": "x", "shape": [1, _FEATURES], "datatype": "FP64", "data": [0.123456789] * _FEATURES}]}
).encode()
_ANSWERED = json.dumps(
    {"model_name": "m", "outputs": [{"name": "p", "shape": [1], "datatype": "INT64", "data": [1]}]}
).encode()
_REQUEST = (
    b"POST /v2/models/m/infer HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s"
    % (len(_ASKED), _ASKED)
)
_RESPONSE = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (
    len(_ANSWERED),
    _ANSWERED,
)


class Model(asyncio.Protocol):
    """The pretended model server: answers each whole request at once."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport, self._got = transport, 0

    def data_received(self, data: bytes) -> None:
        """Answer for every request that is whole; all have the same length."""
        self._got += len(data)
        while self._got >= len(_REQUEST):
            self._got -= len(_REQUEST)
            self._transport.write(_RESPONSE)  # type: ignore[attr-defined]


class Caller(asyncio.Protocol):
    """One kept connection; requests wait their turn on it."""

    def __init__(self) -> None:
        """Begin idle."""
        self._due: list[float] = []
        self._got = 0
        self.took: list[float] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = transport

    def ask(self, due: float) -> None:
        """Send a request that was due at a moment of the monotonic clock."""
        self._due.append(due)
        self._transport.write(_REQUEST)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        """Note how long each whole answer took."""
        self._got += len(data)
        while self._got >= len(_RESPONSE):
            self._got -= len(_RESPONSE)
            self.took.append(time.perf_counter() - self._due.pop(0))

    def close(self) -> None:
        """Close the connection."""
        self._transport.close()

    @property
    def waiting(self) -> int:
        """Return how many answers are still to come."""
        return len(self._due)


async def serve_model(port: int) -> None:
    """Serve until the process is told to stop."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    listening = await asyncio.get_running_loop().create_server(Model, "127.0.0.1", port)
    await stop.wait()
    listening.close()


async def load(port: int, rate: int, seconds: float) -> list[float]:
    """Return the times, in milliseconds, of requests sent at a steady rate; those of the first second are left out.

    Raises:
        RuntimeError: an answer did not come within five seconds of the last request.
    """
    loop = asyncio.get_running_loop()
    callers = [(await loop.create_connection(Caller, "127.0.0.1", port))[1] for _ in range(CONNECTIONS)]
    start = time.perf_counter()
    for number in range(int(rate * (seconds + _WARM_SECONDS))):
        due = start + number / rate
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        callers[number % CONNECTIONS].ask(due)
    for _ in range(500):
        if not any(caller.waiting for caller in callers):
            break
        await asyncio.sleep(0.01)
    missing = sum(caller.waiting for caller in callers)
    if missing:
        raise RuntimeError(f"{missing} predictions were never answered")
    warm = _WARM_SECONDS * rate // CONNECTIONS
    took = [1000 * seconds for caller in callers for seconds in caller.took[warm:]]
    for caller in callers:
        caller.close()
    return took


@asynccontextmanager
async def process(*command: str, port: int, **variables: str) -> AsyncIterator[None]:
    """Run a program until the block is left; the block begins when its port takes connections."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", *command, env={**os.environ, **variables}, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        for _ in range(200):
            try:
                (await asyncio.open_connection("127.0.0.1", port))[1].close()
                break
            except OSError:
                await asyncio.sleep(0.05)
        yield
    finally:
        child.terminate()
        await child.wait()


async def measure(endpoint: str, ports: tuple[int, int], rate: int, seconds: int, rounds: int) -> list[Figure]:
    """Ask straight and through the sidecar in turn; return the medians of the rounds' quantiles and differences."""
    model, tap = ports
    config = CaptureConfig(
        storage=Storage(endpoint=endpoint, addressing="path"),
        uri=f"s3://{BUCKET}/captured/",
        flush_seconds=2,
        listen_port=tap,
        upstream_port=model,
        namespace="bench",
        deployment="bench",
        revision="r",
        digest="sha256:" + "0" * 64,
        format="Parquet",
    )
    text = config.model_dump_json(by_alias=True)
    found: dict[str, list[list[float]]] = {"straight": [], "captured": []}
    async with (
        process("bench.agent_capture", "--model", str(model), port=model),
        process("perennial", "agent", "capture", port=tap, **{CONFIG_VARIABLE: text}),
    ):
        for _ in range(rounds):
            for way, port in (("straight", model), ("captured", tap)):
                found[way].append(await load(port, rate, seconds))
    figures = [
        Figure(f"{way} at {rate}/s, {label}", statistics.median(quantile(item, share) for item in times), "ms")
        for way, times in found.items()
        for label, share in (("p50", 0.5), ("p99", 0.99))
    ]
    for label, share, bar in (("p50", 0.5, 0.5), ("p99", 0.99, 1.0)):
        pairs = zip(found["straight"], found["captured"], strict=True)
        added = statistics.median(quantile(after, share) - quantile(before, share) for before, after in pairs)
        figures.append(Figure(f"added by capture at {rate}/s, {label}", added, "ms", bar))
    return figures


def main() -> int:
    """Measure, print a table, keep the figures; 1 when a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--rate", type=int, default=500)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--model", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.model:
        asyncio.run(serve_model(options.model))
        return 0
    os.environ.update(KEYS)
    with tempfile.TemporaryDirectory(prefix="perennial-bench-") as folder:
        (Path(folder) / BUCKET).mkdir()
        # The sidecar also serves its metrics on the port after its own.
        with server(Path(folder)) as endpoint, reserved() as model, reserved(2) as tap:
            figures = asyncio.run(measure(endpoint, (model, tap), options.rate, options.seconds, options.rounds))
        written = sum(path.stat().st_size for path in (Path(folder) / BUCKET).rglob("*.parquet"))
    if not written:
        raise RuntimeError("nothing was captured: the figures would mean nothing")
    print(table(figures))
    print(f"captured meanwhile: {written / 2**20:.1f} MiB of Parquet")
    write(figures, {"cores": os.cpu_count(), "load": round(os.getloadavg()[0], 2)}, RESULT)
    return 0 if all(figure.passed for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
