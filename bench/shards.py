"""What it costs to divide a window of captured requests among the pods of a comparison.

Requests of one row with ten numbers, in one Parquet file an hour as `perennial agent capture` writes them, on a real S3
server on loopback. One pod and the shards of two Jobs compare the same window in one run, one process for each pod,
one after another: CPU seconds are user and system time with the start of the process. The second Job begins without
profiles of hours, so that it reads the same payloads. Bytes are those of the objects that a pod has read.

    python -m bench.shards [--shards 4] [--hours 48] [--requests 5000] [--reference 1000000]
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from bench.agent_fetch import BUCKET, KEYS, server
from bench.capture_read import DIGEST, NOW, VALUES
from bench.capture_read import ROOT as CAPTURE
from bench.profiles import captured
from bench.signals import end_on_sigterm
from perennial.agent.drift.command import run
from perennial.agent.drift.history.store import ReportStore
from perennial.agent.storage.client import Version
from perennial.agent.storage.opening import open_storage
from perennial.agent.tables.files import StoredObject
from perennial.api.common.pod import Storage
from perennial.api.contract.commands import JOB_UID_VARIABLE, WORKER_VARIABLE, CaptureWindow, DriftConfig
from perennial.api.contract.messages import DriftVerdict, ShardWritten
from tests.unit.agent.drift.store import parquet

RESULT = Path("build/bench-shards.json")
ROOT = Path(__file__).resolve().parents[1]


@dataclass
class Counting:
    """Storage that counts the bytes read, by the first folder of the bucket."""

    store: ReportStore
    read: Counter[str] = field(default_factory=Counter)

    def list(self, uri: str) -> Iterator[StoredObject]:
        """List; the answers are not counted."""
        return self.store.list(uri)

    def get_bytes(self, uri: str, limit: int) -> bytes:
        """Read and count."""
        return self._counted(uri, self.store.get_bytes(uri, limit))

    def download(self, uri: str, path: Path, size: int | None = None, etag: str | None = None) -> str:
        """Download and count."""
        found = self.store.download(uri, path, size, etag)
        self.read[_folder(uri)] += path.stat().st_size
        return found

    def put_bytes(self, uri: str, data: bytes, content_type: str) -> None:
        """Write."""
        self.store.put_bytes(uri, data, content_type)

    def get_version(self, uri: str, limit: int) -> Version | None:
        """Read and count."""
        found = self.store.get_version(uri, limit)
        if found is not None:
            self._counted(uri, found.data)
        return found

    def replace_version(self, uri: str, data: bytes, content_type: str, etag: str | None) -> bool:
        """Write."""
        return self.store.replace_version(uri, data, content_type, etag)

    def delete(self, uri: str) -> None:
        """Delete."""
        self.store.delete(uri)

    def _counted(self, uri: str, data: bytes) -> bytes:
        self.read[_folder(uri)] += len(data)
        return data


def _folder(uri: str) -> str:
    return uri.removeprefix(f"s3://{BUCKET}/").split("/", 1)[0]


@dataclass(frozen=True)
class Pod:
    """What one pod took: CPU seconds, MB read by folder; with a verdict its rows and drifted columns."""

    cpu: float
    megabytes: dict[str, float]
    verdict: tuple[int, int] | None


def pod() -> None:
    """Be one pod: compare as the environment says, and print what it took."""
    config = DriftConfig.model_validate_json(os.environ["PERENNIAL_CONFIG"])
    store = Counting(open_storage(config.storage))
    message = run(config, store, NOW, "bench-1")
    if not isinstance(message, DriftVerdict | ShardWritten):
        raise TypeError(f"no verdict: {message.message}")
    used = resource.getrusage(resource.RUSAGE_SELF)
    verdict = (message.current_rows, message.drifted_features) if isinstance(message, DriftVerdict) else None
    read = {name: round(size / 1e6, 2) for name, size in sorted(store.read.items())}
    print(json.dumps({"cpu": round(used.ru_utime + used.ru_stime, 2), "megabytes": read, "verdict": verdict}))


def start(config: DriftConfig, **variables: str) -> Pod:
    """Run a pod to its end."""
    environment = {**os.environ, **KEYS, "PYTHONPATH": f"{ROOT / 'operator'}:{ROOT}", **variables}
    environment["PERENNIAL_CONFIG"] = config.model_dump_json(by_alias=True)
    command = [sys.executable, "-m", "bench.shards", "--pod"]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, cwd=ROOT)
    if ended.returncode:
        raise RuntimeError(ended.stderr[-2000:])
    return Pod(**json.loads(ended.stdout.splitlines()[-1]))


def job(config: DriftConfig, uid: str) -> list[Pod]:
    """Run all shards of a Job, one after another."""
    indexes = range(config.shards or 0)
    return [start(config, **{WORKER_VARIABLE: str(index), JOB_UID_VARIABLE: uid}) for index in indexes]


def measure(options: argparse.Namespace) -> dict[str, list[Pod]]:
    """Return the pods of each way."""
    found = {}
    with tempfile.TemporaryDirectory(prefix="perennial-bench-", dir=options.folder) as name:
        base = Path(name)
        bucket = base / "s3" / BUCKET
        generator = np.random.default_rng(2)
        reference = parquet({f"f{index}": generator.normal(0, 1, options.reference) for index in range(VALUES)})
        files = captured(options.hours, options.requests)
        content = {"reference/0.parquet": reference}
        content |= {f"capture/{uri.removeprefix(CAPTURE)}": data for uri, data in files.items()}
        for path, data in content.items():
            (bucket / path).parent.mkdir(parents=True, exist_ok=True)
            (bucket / path).write_bytes(data)
        with server(base / "s3") as endpoint:
            config = DriftConfig(
                storage=Storage(endpoint=endpoint, addressing="path"),
                namespace="bench",
                monitor="bench",
                deployment="bench",
                reference=f"s3://{BUCKET}/reference/",
                current=CaptureWindow(uri=f"s3://{BUCKET}/capture/", seconds=options.hours * 3600, digest=DIGEST),
                report=f"s3://{BUCKET}/reports/",
                scratch=str(base / "scratch"),
            )
            divided = config.model_copy(update={"shards": options.shards})
            found["one pod"] = [start(config)]
            shutil.rmtree(bucket / "reports")
            found["shards, first Job"] = job(divided, "uid-1")
            shutil.rmtree(bucket / "reports/_profiles")
            found["shards, later Job"] = job(divided, "uid-2")
    return found


def main() -> int:
    """Measure, print, keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--shards", type=int, default=4)
    parser.add_argument("--hours", type=int, default=48)
    parser.add_argument("--requests", type=int, default=5000, help="in each hour")
    parser.add_argument("--reference", type=int, default=1_000_000, help="rows of the reference")
    parser.add_argument("--folder", help="where the data is generated; default: the system's temporary folder")
    parser.add_argument("--pod", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.pod:
        pod()
        return 0
    end_on_sigterm()
    ways = measure(options)
    verdicts = {name: [pod.verdict for pod in pods if pod.verdict] for name, pods in ways.items()}
    if len({str(found) for found in verdicts.values()}) > 1 or len(verdicts["one pod"]) != 1:
        raise RuntimeError(f"the verdicts differ: {verdicts}")
    (alone,) = ways["one pod"]
    for name, pods in ways.items():
        total, slowest = sum(pod.cpu for pod in pods), max(pod.cpu for pod in pods)
        print(f"{name}: {total:.1f} CPU s, {total / alone.cpu:.2f} of one pod; slowest {slowest / alone.cpu:.2f}")
        for index, one in enumerate(pods):
            read = ", ".join(f"{folder} {size} MB" for folder, size in one.megabytes.items())
            print(f"  {index}: {one.cpu:>6.2f} CPU s   {read}{'   verdict' if one.verdict else ''}")
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps({name: [vars(pod) for pod in pods] for name, pods in ways.items()}, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
