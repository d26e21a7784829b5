"""What profiles of hours save: a second comparison of 30 days of captured requests, with and without.

Requests of one row with ten numbers, in one file an hour as `perennial agent capture` writes them, in memory. The
comparison runs in this process; both are measured in one run. Bytes are those of capture files and profiles read.

    python -m bench.profiles [--hours 720] [--requests 1000]
"""

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import numpy as np

from bench.capture_read import DIGEST, NOW, ROOT, VALUES, body, line
from perennial.agent.drift.command import run
from perennial.agent.records.files import SUFFIX, encoded
from perennial.agent.storage.client import Version
from perennial.api.contract.commands import CaptureWindow, DriftConfig
from perennial.api.contract.messages import DriftVerdict
from tests.unit.agent.drift.store import MemoryStore, parquet

HOURS = 720
BODIES = 5000
"""Different requests; more are repetitions, which shorten the set-up and not the reading."""
REFERENCE, REPORTS = "s3://bench/reference/", "s3://bench/reports/"
RESULT = Path("build/bench-profiles.json")


@dataclass
class Counting(MemoryStore):
    """Counts the bytes of capture files and profiles that are read."""

    read: list[int] = field(default_factory=list)

    def download(self, uri: str, path: Path, size: int | None = None, etag: str | None = None) -> str:
        """Download, and count capture files."""
        if uri.startswith(ROOT):
            self.read.append(len(self.objects[uri]))
        return super().download(uri, path, size, etag)

    def get_version(self, uri: str, limit: int) -> Version | None:
        """Return an object, and count profiles."""
        if "/_profiles/" in uri and uri in self.objects:
            self.read.append(len(self.objects[uri]))
        return super().get_version(uri, limit)


@dataclass(frozen=True)
class Usage:
    """What one comparison took: seconds, MB and files read."""

    seconds: float
    megabytes: float
    files: int


def captured(hours: int, requests: int) -> dict[str, bytes]:
    """Return a capture file for each hour."""
    generator = random.Random(1)  # noqa: S311 - data of a bench
    lines = [line(body(generator, "ten tensors")) for _ in range(BODIES)]
    files = {}
    for number in range(hours):
        at = NOW - timedelta(hours=number)
        stamp = f"{at:%Y-%m-%dT%H}:00:00.000Z".encode()
        chosen = [lines[index].replace(b"2026-03-10T12:00:00.000Z", stamp) for index in _some(generator, requests)]
        files[f"{ROOT}date={at:%Y-%m-%d}/hour={at:%H}/0{SUFFIX['Parquet']}"] = encoded(chosen, "Parquet")
    return files


def _some(generator: random.Random, requests: int) -> Sequence[int]:
    return generator.choices(range(BODIES), k=requests)


def measured(store: Counting, settings: DriftConfig) -> tuple[Usage, DriftVerdict]:
    """Compare once."""
    store.read.clear()
    start = time.perf_counter()
    verdict = run(settings, store, NOW, "bench-1")
    used = time.perf_counter() - start
    if not isinstance(verdict, DriftVerdict):
        raise TypeError(f"no verdict: {verdict.message}")
    return Usage(round(used, 2), round(sum(store.read) / 1e6, 2), len(store.read)), verdict


def main() -> int:
    """Measure, print and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--requests", type=int, default=1000, help="in each hour")
    parser.add_argument("--hours", type=int, default=HOURS)
    options = parser.parse_args()
    generator = np.random.default_rng(2)
    reference = parquet({f"f{index}": generator.normal(0, 1, 200_000) for index in range(VALUES)})
    store = Counting({f"{REFERENCE}0.parquet": reference, **captured(options.hours, options.requests)})
    with tempfile.TemporaryDirectory() as scratch:
        window = CaptureWindow(uri=ROOT, seconds=options.hours * 3600, period=f"{options.hours}h", digest=DIGEST)
        settings = DriftConfig(
            namespace="bench", monitor="bench", deployment="bench", reference=REFERENCE, current=window, scratch=scratch
        )
        keeping = settings.model_copy(update={"report": REPORTS})
        without, expected = measured(store, settings)
        first, _ = measured(store, keeping)
        second, verdict = measured(store, keeping)
    if (verdict.features, verdict.current_rows) != (expected.features, expected.current_rows):
        raise RuntimeError("the verdicts differ")
    rows = {"without": without, "first, writes profiles": first, "second, reads profiles": second}
    for name, usage in rows.items():
        print(f"{name:24} {usage.seconds:>8.2f} s {usage.megabytes:>9.2f} MB {usage.files:>5} files")
    print(f"ratio: {without.seconds / second.seconds:.1f} in time, {without.megabytes / second.megabytes:.1f} in bytes")
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps({name: vars(usage) for name, usage in rows.items()}, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
