"""How fast inputs come to the disk: Perennial's fetch against boto3's default transfer, in one run on one machine.

A real S3 server (versitygw) on loopback serves one large object and many small ones. Both sides write to the same
disk. Perennial hashes every byte, as it must; boto3 does not, so it is shown without and with hashing the files
afterwards. Rounds alternate between the ways, and the median counts.

    python -m bench.agent_fetch [--megabytes 1024] [--files 2000] [--rounds 3]
"""

import argparse
import hashlib
import json
import logging
import os
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from bench.signals import end_on_sigterm
from perennial.api.common.pod import Input, Storage
from perennial.api.contract.commands import FetchInputs
from tests.support.ports import reserved
from tools.cluster import api

BUCKET = "bench"
SMALL_BYTES = 64 * 1024
RESULT = Path("build/bench-agent-fetch.json")
KEYS = {"AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "benchsecret"}


@contextmanager
def server(folder: Path) -> Iterator[str]:
    """Run an S3 server over a folder; yield its endpoint."""
    with reserved() as port, _server(folder, port) as endpoint:
        yield endpoint


@contextmanager
def _server(folder: Path, port: int) -> Iterator[str]:
    keys = {"ROOT_ACCESS_KEY": KEYS["AWS_ACCESS_KEY_ID"], "ROOT_SECRET_KEY": KEYS["AWS_SECRET_ACCESS_KEY"]}
    command = [str(api.binary("versitygw")), "--port", f"127.0.0.1:{port}", "posix", str(folder)]
    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, env={**os.environ, **keys}, stdout=quiet, stderr=quiet) as process:
        try:
            for _ in range(100):
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.05)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.kill()


def client(endpoint: str) -> Any:
    """Return a boto3 client as a user makes it."""
    style = Config(s3={"addressing_style": "path"})
    return boto3.Session().client("s3", endpoint_url=endpoint, region_name="us-east-1", config=style)


def fill(folder: Path, megabytes: int, files: int) -> None:
    """Put the objects into the server's folder."""
    bucket = folder / BUCKET
    (bucket / "large").mkdir(parents=True)
    (bucket / "small").mkdir()
    block = os.urandom(2**20)
    with (bucket / "large/model.bin").open("wb") as stream:
        for _ in range(megabytes):
            stream.write(block)
    for number in range(files):
        (bucket / f"small/{number:05}.bin").write_bytes(block[:SMALL_BYTES])


def by_boto3(endpoint: str, prefix: str, target: Path) -> None:
    """Pull a prefix as most programs do: list, then `download_file` each with its defaults."""
    s3 = client(endpoint)
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix):
        for item in page.get("Contents", ()):
            path = target / item["Key"]
            path.parent.mkdir(parents=True, exist_ok=True)
            s3.download_file(BUCKET, item["Key"], str(path))


def by_boto3_hashed(endpoint: str, prefix: str, target: Path) -> None:
    """Pull a prefix by boto3, then hash every file."""
    by_boto3(endpoint, prefix, target)
    for path in target.rglob("*.bin"):
        with path.open("rb") as stream:
            hashlib.file_digest(stream, "sha256")


def by_perennial(endpoint: str, prefix: str, target: Path) -> None:
    """Pull a prefix as `perennial agent fetch` does, every file hashed and recorded."""
    from perennial.agent.fetch.command import fetch_inputs
    from perennial.agent.storage.opening import open_storage

    storage = Storage(endpoint=endpoint, addressing="path")
    config = FetchInputs(
        storage=storage, inputs=(Input(name="bench", uri=f"s3://{BUCKET}/{prefix}"),), root=str(target)
    )
    fetch_inputs(config, open_storage(storage))


WAYS: dict[str, Callable[[str, str, Path], None]] = {
    "boto3": by_boto3,
    "boto3Hashed": by_boto3_hashed,
    "perennial": by_perennial,
}


def in_child(way: str, endpoint: str, prefix: str, target: Path) -> tuple[float, float]:
    """Run one way in a process of its own; return seconds and the peak of memory in MiB."""
    command = [sys.executable, "-m", "bench.agent_fetch", "--child", way, endpoint, prefix, str(target)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=600)
    found = json.loads(done.stdout)
    return found["seconds"], found["peakMiB"]


def child(way: str, endpoint: str, prefix: str, target: str) -> None:
    """Pull once, and print what it took. Loading the libraries is not counted."""
    logging.disable(logging.CRITICAL)
    client(endpoint).list_objects_v2(Bucket=BUCKET, MaxKeys=1)
    start = time.perf_counter()
    WAYS[way](endpoint, prefix, Path(target))
    seconds = time.perf_counter() - start
    print(json.dumps({"seconds": seconds, "peakMiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))


def measure(megabytes: int, files: int, rounds: int) -> list[dict[str, Any]]:
    """Return one row for each kind of data."""
    rows = []
    with tempfile.TemporaryDirectory(prefix="perennial-bench-") as name:
        base = Path(name)
        folder = base / "s3"
        folder.mkdir()
        fill(folder, megabytes, files)
        with server(folder) as endpoint:
            for label, prefix, size in (
                (f"1 object of {megabytes} MiB", "large/", megabytes),
                (f"{files} objects of 64 KiB", "small/", files * SMALL_BYTES / 2**20),
            ):
                found: dict[str, list[tuple[float, float]]] = {way: [] for way in WAYS}
                for _ in range(rounds):
                    for way, results in found.items():
                        results.append(in_child(way, endpoint, prefix, base / "target"))
                        shutil.rmtree(base / "target")
                seconds = {way: statistics.median(second for second, _ in results) for way, results in found.items()}
                rows.append(
                    {
                        "data": label,
                        **{f"{way}Seconds": round(value, 3) for way, value in seconds.items()},
                        **{f"{way}MiBps": round(size / value) for way, value in seconds.items()},
                        **{f"{way}PeakMiB": round(max(peak for _, peak in results)) for way, results in found.items()},
                        "timesFaster": round(seconds["boto3"] / seconds["perennial"], 2),
                        "timesFasterHashed": round(seconds["boto3Hashed"] / seconds["perennial"], 2),
                    }
                )
    return rows


def main() -> int:
    """Measure, print a table, keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--megabytes", type=int, default=1024)
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    end_on_sigterm()
    os.environ.update(KEYS)
    if options.child:
        child(*options.child)
        return 0
    rows = measure(options.megabytes, options.files, options.rounds)
    for row in rows:
        print(
            f"{row['data']:24} boto3 {row['boto3Seconds']:6.2f} s, hashed {row['boto3HashedSeconds']:6.2f} s   "
            f"perennial {row['perennialSeconds']:6.2f} s: {row['timesFaster']:.2f} and {row['timesFasterHashed']:.2f} "
            f"times faster   peak {row['boto3PeakMiB']} and {row['perennialPeakMiB']} MiB"
        )
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(rows, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
