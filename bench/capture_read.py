"""How many captured requests a comparison reads per second and core.

Requests of one row with ten numbers, as one tensor, as ten, or as a record with named fields (`instances` of KServe's
protocol V1), captured with their response: JSON lines and Parquet as `perennial agent capture` writes them, from
storage in memory. The rate divides the requests by CPU seconds.

    python -m bench.capture_read [--requests 100000] [--rounds 3]
"""

import argparse
import json
import random
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, get_args

from perennial.agent.drift.data.window import read_window, window_files
from perennial.agent.records.files import SUFFIX, Format, encoded
from perennial.api.contract.commands import CaptureWindow
from tests.unit.agent.drift.store import MemoryStore

NOW = datetime(2026, 3, 10, 12, 30, tzinfo=UTC)
DIGEST = "sha256:" + "a" * 64
ROOT = "s3://bench/capture/"
VALUES = 10
FILES = 4
RESULT = Path("build/bench-capture-read.json")


Shape = Literal["one tensor", "ten tensors", "records"]


def body(generator: random.Random, shape: Shape) -> dict[str, object]:
    """Return a request of one row."""
    values = [generator.gauss(0, 1) for _ in range(VALUES)]
    match shape:
        case "one tensor":
            return {"inputs": [{"name": "x", "shape": [1, VALUES], "datatype": "FP64", "data": values}]}
        case "ten tensors":
            named = enumerate(values)
            return {"inputs": [{"name": f"f{n}", "shape": [1], "datatype": "FP64", "data": [v]} for n, v in named]}
        case "records":
            return {"instances": [{f"f{n}": value for n, value in enumerate(values)}]}


def line(request: dict[str, object]) -> bytes:
    """Return a captured record."""
    output = {"name": "p", "shape": [1], "datatype": "FP64", "data": [0.5]}
    answer = {"predictions": [0.5]} if "instances" in request else {"outputs": [output]}
    record = {
        "time": "2026-03-10T12:00:00.000Z",
        "id": "0190",
        "namespace": "bench",
        "deployment": "bench",
        "revision": "bench-1",
        "digest": DIGEST,
        "path": "/v2/models/m/infer",
        "status": 200,
        "latencyMs": 1.5,
        "request": request,
        "response": answer,
    }
    return json.dumps(record).encode() + b"\n"


def rate(store: MemoryStore, requests: int) -> float:
    """Read the window once; return requests per CPU second."""
    window = CaptureWindow(uri=ROOT, seconds=86400, period="24h", digest=DIGEST)
    wanted = {f"{tensor}{index}" for tensor in ("f", "x.") for index in range(VALUES)}
    with tempfile.TemporaryDirectory() as folder:
        start = time.process_time()
        found = read_window(store, window, window_files(store, window, NOW), Path(folder), now=NOW, wanted=wanted)
        used = time.process_time() - start
    if (found.requests, found.table.rows) != (requests, requests):
        raise RuntimeError(f"{found.requests} of {requests} requests were read")
    return requests / used


def main() -> int:
    """Measure, print the best round of each form, keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    each = options.requests // FILES
    rows = {}
    forms: tuple[Format, ...] = ("JsonLines", "Parquet")
    for form in forms:
        for shape in get_args(Shape):
            generator = random.Random(1)  # noqa: S311 - data of a bench
            files = {
                f"{ROOT}date=2026-03-10/hour=12/{number}{SUFFIX[form]}": encoded(
                    [line(body(generator, shape)) for _ in range(each)], form
                )
                for number in range(FILES)
            }
            best = max(rate(MemoryStore(files), each * FILES) for _ in range(options.rounds))
            name = f"{form}, {shape}"
            rows[name] = round(best)
            print(f"{name:24} {best:>9,.0f} requests/s per core")
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(rows, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
