"""How fast and with how much memory `perennial agent drift` compares Parquet on S3, process start included.

A real S3 server (versitygw) on loopback serves two sides that are generated in place: half of the columns are normal,
a quarter log-normal, a quarter whole numbers. The command runs as in a pod, in a process of its own. Values are rows
times columns of both sides; a rate per core divides them by the CPU seconds of that process.

    python -m bench.engine [--rows 1000000] [--columns 50] [--rounds 3] [--peers PYTHON]
    python -m bench.engine --ten-gigabytes

With `--peers`, another Python that has evidently, pandas, pyarrow and duckdb runs Evidently's drift preset on the same
files, and the scans alone, in the same run.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from bench.agent_fetch import BUCKET, KEYS, server
from bench.signals import end_on_sigterm
from perennial.api.common.pod import Storage
from perennial.api.contract.commands import DriftConfig

ROWS_PER_FILE = 1_000_000
_BYTES = 8
_SPARE = 2 * 10**9
TEN_GIGABYTES = {"rows": 130_000_000, "columns": 10, "rounds": 1, "small_reference": True}
"""Options of a window of 10 GB of values, which the memory of a pod cannot hold; bounded by the disk alone."""
RESULT = Path("build/bench-engine.json")
ROOT = Path(__file__).resolve().parents[1]
PEERS = Path(__file__).with_name("engine_peers.py")


@dataclass(frozen=True)
class Usage:
    """What one process took: wall and CPU seconds, and its peak of memory in MiB."""

    wall: float
    cpu: float
    peak: float


def generate(folder: Path, rows: int, columns: int, seed: int) -> None:
    """Write one side as Parquet files of at most a million rows."""
    folder.mkdir(parents=True)
    generator = np.random.default_rng(seed)
    for number, at in enumerate(range(0, rows, ROWS_PER_FILE)):
        size = min(ROWS_PER_FILE, rows - at)
        frame = pl.DataFrame({f"c{index}": _column(generator, index, size) for index in range(columns)})
        frame.write_parquet(folder / f"part-{number:05}.parquet")


def _column(generator: np.random.Generator, index: int, size: int) -> np.ndarray[tuple[int], np.dtype[np.generic]]:
    match index % 4:
        case 0 | 1:
            return generator.normal(index, 1 + index / 10, size)
        case 2:
            return generator.lognormal(0, 1, size)
        case _:
            return generator.poisson(20, size)


def run(command: Sequence[str], environment: Mapping[str, str]) -> Usage:
    """Run a process to its end.

    Raises:
        RuntimeError: it failed.
    """
    start = time.perf_counter()
    with (
        tempfile.TemporaryFile("w+") as log,
        subprocess.Popen(command, env={**os.environ, **environment}, stdout=log, stderr=log) as process,
    ):
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        log.seek(0)
        if process.returncode:
            raise RuntimeError(log.read()[-2000:])
    return Usage(time.perf_counter() - start, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


def compare(endpoint: str, base: Path) -> Usage:
    """Run the command on both sides."""
    config = DriftConfig(
        storage=Storage(endpoint=endpoint, addressing="path"),
        namespace="bench",
        monitor="engine",
        deployment="engine",
        run="engine-1",
        digest="sha256:" + "a" * 64,
        reference=f"s3://{BUCKET}/reference/",
        current=f"s3://{BUCKET}/current/",
        report=f"s3://{BUCKET}/reports/",
        scratch=str(base / "scratch"),
    )
    environment = {
        **KEYS,
        "PYTHONPATH": str(ROOT / "operator"),
        "PERENNIAL_CONFIG": config.model_dump_json(by_alias=True),
        "PERENNIAL_TERMINATION_LOG": str(base / "message"),
    }
    used = run([sys.executable, "-m", "perennial", "agent", "drift"], environment)
    message = json.loads((base / "message").read_text())
    if message.get("currentRows") is None:
        raise RuntimeError(f"no verdict: {message}")
    return used


def measure(options: argparse.Namespace) -> list[dict[str, object]]:
    """Return one row for each way, with the median of the rounds."""
    _check_disk(options.folder, options.rows * options.columns * _BYTES)
    before = min(options.rows, ROWS_PER_FILE) if options.small_reference else options.rows
    values = (options.rows + before) * options.columns
    with tempfile.TemporaryDirectory(prefix="perennial-bench-", dir=options.folder) as name:
        base = Path(name)
        sides = [base / "s3" / BUCKET / side for side in ("reference", "current")]
        for seed, (side, rows) in enumerate(zip(sides, (before, options.rows), strict=True)):
            # In a process of its own, whose memory would otherwise count as the peak of those started later.
            work = [str(side), str(rows), str(options.columns), str(seed)]
            run([sys.executable, "-m", "bench.engine", "--generate", *work], {})
        ways: dict[str, list[Usage]] = {}
        with server(base / "s3") as endpoint:
            for _ in range(options.rounds):
                ways.setdefault("perennial", []).append(compare(endpoint, base))
                for way in options.ways if options.peers else ():
                    command = [options.peers, str(PEERS), way, *map(str, sides)]
                    ways.setdefault(way, []).append(run(command, {}))
    return [_row(way, values, found) for way, found in ways.items()]


def _check_disk(folder: str | None, needed: int) -> None:
    """End with an error if the generated data may not fit: it is compressed, but random."""
    free = shutil.disk_usage(folder or tempfile.gettempdir()).free
    if free < needed + _SPARE:
        sys.exit(f"needs {(needed + _SPARE) / 1e9:.0f} GB of disk, {free / 1e9:.0f} GB are free: choose a --folder")


def _row(way: str, values: int, found: Sequence[Usage]) -> dict[str, object]:
    cpu = statistics.median(used.cpu for used in found)
    return {
        "way": way,
        "values": values,
        "wallSeconds": round(statistics.median(used.wall for used in found), 2),
        "cpuSeconds": round(cpu, 2),
        "millionValuesPerCore": round(values / cpu / 1e6, 2),
        "peakMiB": round(max(used.peak for used in found)),
    }


def main() -> int:
    """Measure, print a table, keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--columns", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--ten-gigabytes", action="store_true", help="130 million rows of ten columns, once")
    parser.add_argument("--small-reference", action="store_true", help="at most a million rows of reference")
    parser.add_argument("--peers", help="a Python with evidently, pandas, pyarrow and duckdb")
    parser.add_argument("--ways", nargs="*", default=["evidently", "polars", "pyarrow", "duckdb"])
    parser.add_argument("--folder", help="where the data is generated; default: the system's temporary folder")
    parser.add_argument("--generate", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.ten_gigabytes:
        parser.set_defaults(**TEN_GIGABYTES)
        options = parser.parse_args()
    end_on_sigterm()
    if options.generate:
        folder, *numbers = options.generate
        generate(Path(folder), *map(int, numbers))
        return 0
    rows = measure(options)
    ours = rows[0]
    for row in rows:
        ratio = float(str(ours["millionValuesPerCore"])) / max(float(str(row["millionValuesPerCore"])), 1e-9)
        print(
            f"{row['way']:12} {row['wallSeconds']:>8} s   {row['cpuSeconds']:>8} CPU s   "
            f"{row['millionValuesPerCore']:>7} M values/s per core   peak {row['peakMiB']:>6} MiB   "
            f"perennial is {ratio:.2f} times as fast per core"
        )
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(rows, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
