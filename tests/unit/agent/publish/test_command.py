"""The sidecar publishes when it is told, all or nothing, under the digest of the content."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from perennial.agent.cli import encode, main
from perennial.agent.publish.command import READY_FILE, publish, publish_on_sigterm, read_metrics
from perennial.agent.storage.client import ObjectStore
from perennial.agent.storage.errors import AgentError
from perennial.agent.storage.opening import open_storage
from perennial.api.contract.commands import WORKER_VARIABLE, PublishConfig
from perennial.api.contract.manifest import Manifest
from perennial.api.contract.messages import Failure, Fetched, NothingToPublish, Published, PulledInput
from perennial.core.failures import by_reason
from perennial.core.termination import parse_message
from tests.unit.agent.conftest import S3Server

ROOT = Path(__file__).resolve().parents[4]


def config(s3: S3Server, root: Path, bucket: str, **changed: Any) -> PublishConfig:
    settings = {
        "storage": s3.storage,
        "output": f"s3://{bucket}/models/churn/",
        "namespace": "demo",
        "training_job": "churn",
        "run": "churn-1",
        "chain": "churn-drift-29",
        "attempt": 0,
        "recipe": {"image": "train:1", "parameters": {"depth": "6"}, "seed": 42, "trigger": "Drift"},
        "root": str(root),
    }
    return PublishConfig(**{**settings, **changed})


def output(root: Path, files: dict[str, bytes]) -> None:
    for name, data in files.items():
        path = root / "output" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


@pytest.mark.parametrize(("worker", "kind"), [("0", Published), ("1", NothingToPublish)])
def test_only_the_first_worker_publishes(
    s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, worker: str, kind: type
) -> None:
    output(tmp_path, {"model": b"weights"})
    monkeypatch.setenv(WORKER_VARIABLE, worker)
    bucket = s3.bucket()

    settings = config(s3, tmp_path, bucket)

    assert isinstance(publish_on_sigterm(settings, open_storage(settings.storage), lambda: None), kind)
    assert bool(s3.keys(bucket)) == (worker == "0")


def test_a_version_lies_under_its_digest_with_the_manifest_and_the_record_of_the_run(
    s3: S3Server, store: ObjectStore, tmp_path: Path
) -> None:
    bucket = s3.bucket()
    output(
        tmp_path, {"model.bin": b"weights", "empty": b"", "metrics.json": b'{"auc": 0.91, "by": {"sex": {"f": 0.9}}}'}
    )

    message = publish(config(s3, tmp_path, bucket), store)

    assert isinstance(message, Published)
    short = message.digest.removeprefix("sha256:")[:12]
    prefix = f"models/churn/versions/{short}/"
    assert message.uri == f"s3://{bucket}/{prefix}"
    assert s3.keys(bucket) == [
        "models/churn/runs/churn-1.json",
        *(f"{prefix}{name}" for name in ("README.md", "empty", "manifest.json", "metrics.json", "model.bin")),
    ]
    manifest = Manifest.model_validate_json(s3.read(bucket, f"{prefix}manifest.json"))
    assert manifest.metrics == {"auc": "0.91", "by.sex.f": "0.9"} == message.metrics
    assert (manifest.seed, manifest.parameters, manifest.image) == (42, {"depth": "6"}, "train:1")
    assert (manifest.run, manifest.chain, manifest.trigger) == ("churn-1", "churn-drift-29", "Drift")
    card = s3.read(bucket, f"{prefix}README.md").decode()
    assert "| `auc` | `0.91` |" in card
    assert manifest.digest in card
    assert [entry.path for entry in manifest.files] == ["empty", "metrics.json", "model.bin"]


def test_the_same_content_is_one_version_whose_first_author_stays(
    s3: S3Server, store: ObjectStore, tmp_path: Path
) -> None:
    bucket = s3.bucket()
    output(tmp_path, {"model.bin": b"weights"})

    first = publish(config(s3, tmp_path, bucket), store)
    again = publish(config(s3, tmp_path, bucket, run="churn-2"), store)

    assert isinstance(first, Published)
    assert isinstance(again, Published)
    assert (first.uri, first.digest) == (again.uri, again.digest)
    key = first.uri.removeprefix(f"s3://{bucket}/") + "manifest.json"
    assert Manifest.model_validate_json(s3.read(bucket, key)).run == "churn-1"
    assert Manifest.model_validate_json(s3.read(bucket, "models/churn/runs/churn-2.json")).run == "churn-2"


def test_a_card_that_the_training_wrote_stays(s3: S3Server, store: ObjectStore, tmp_path: Path) -> None:
    bucket = s3.bucket()
    output(tmp_path, {"README.md": b"ours", "model.bin": b"weights"})

    message = publish(config(s3, tmp_path, bucket), store)

    assert isinstance(message, Published)
    key = message.uri.removeprefix(f"s3://{bucket}/") + "README.md"
    assert s3.read(bucket, key) == b"ours"


def test_a_version_that_lost_a_file_is_made_whole(s3: S3Server, store: ObjectStore, tmp_path: Path) -> None:
    bucket = s3.bucket()
    output(tmp_path, {"model.bin": b"weights"})
    message = publish(config(s3, tmp_path, bucket), store)
    assert isinstance(message, Published)
    key = message.uri.removeprefix(f"s3://{bucket}/") + "model.bin"
    s3.client.delete_object(Bucket=bucket, Key=key)

    publish(config(s3, tmp_path, bucket), store)

    assert s3.read(bucket, key) == b"weights"


def test_nothing_to_publish(s3: S3Server, store: ObjectStore, tmp_path: Path) -> None:
    (tmp_path / "output").mkdir()

    assert publish(config(s3, tmp_path, s3.bucket()), store) == NothingToPublish()


def test_a_link_out_of_the_folder_is_refused(s3: S3Server, store: ObjectStore, tmp_path: Path) -> None:
    bucket = s3.bucket()
    output(tmp_path, {"model.bin": b"weights"})
    (tmp_path / "output/leak").symlink_to("/etc/passwd")

    with pytest.raises(AgentError, match="leak") as caught:
        publish(config(s3, tmp_path, bucket), store)

    assert caught.value.failure.reason == "UnsafePath"
    assert s3.keys(bucket) == []


def test_what_is_left_out_is_named_in_the_manifest(s3: S3Server, store: ObjectStore, tmp_path: Path) -> None:
    bucket = s3.bucket()
    output(tmp_path, {"model.onnx": b"weights", "manifest.json": b"{}"})
    (tmp_path / "output/last.ckpt").symlink_to("last.ckpt")

    published = publish(config(s3, tmp_path, bucket), store)

    assert isinstance(published, Published)
    assert published.files == 1
    (key,) = [key for key in s3.keys(bucket) if key.endswith("/manifest.json")]
    manifest = Manifest.model_validate_json(s3.read(bucket, key))
    assert {entry.path: entry.reason for entry in manifest.skipped} == {
        "last.ckpt": "a broken link",
        "manifest.json": "its name is reserved for the manifest of the version",
    }


@pytest.mark.parametrize("text", ["", "{", "[1]", "NaN", '{"a": ' * 3000])
def test_broken_metrics_cost_the_metrics_not_the_model(tmp_path: Path, text: str) -> None:
    path = tmp_path / "metrics.json"
    path.write_text(text)

    assert read_metrics(path) == {}


def test_a_message_always_fits(s3: S3Server) -> None:
    metrics = {f"metric-{number:02}-{'x' * 50}": "0.123456789012345678901234567890" for number in range(32)}
    message = Published(
        uri="s3://bucket/" + "p" * 900,
        digest="sha256:" + "0" * 64,
        files=1,
        bytes=1,
        metrics=metrics,
        time="2026-01-31T12:00:00Z",
    )

    for limit in (4096, 2457, 1400):
        text = encode(message, limit)
        read = parse_message(text)

        assert len(text.encode()) <= limit
        assert isinstance(read, Published)
        assert read.metrics_dropped == 32 - len(read.metrics) > 0


@pytest.mark.parametrize("limit", [4096, 2457, 945])
def test_what_was_pulled_always_fits(limit: int) -> None:
    digest = "sha256:" + "0" * 64
    pulled = tuple(PulledInput(name=f"{n:02}{'x' * 60}", digest=digest, files=9, bytes=2**40) for n in range(16))
    message = Fetched(listing=digest, files=144, bytes=2**44, inputs=pulled)

    text = encode(message, limit)
    read = parse_message(text)

    assert len(text.encode()) <= limit
    assert isinstance(read, Fetched)
    assert (read.listing, read.files, read.bytes) == (digest, 144, 2**44)
    assert 0 < len(read.inputs) <= 16
    assert read.inputs == pulled[: len(read.inputs)]


def start(config: PublishConfig, tmp_path: Path) -> subprocess.Popen[bytes]:
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT / "operator"),
        "PERENNIAL_CONFIG": config.model_dump_json(by_alias=True),
        "PERENNIAL_TERMINATION_LOG": str(tmp_path / "message"),
    }
    process = subprocess.Popen([sys.executable, "-m", "perennial", "agent", "publish"], env=environment)
    for _ in range(600):
        if (Path(config.root) / READY_FILE).exists():
            return process
        time.sleep(0.05)
    process.kill()
    raise AssertionError("the sidecar did not get ready")


def test_it_waits_for_the_signal_and_ends_well(s3: S3Server, tmp_path: Path) -> None:
    bucket = s3.bucket()
    with start(config(s3, tmp_path / "w", bucket), tmp_path) as process:
        output(tmp_path / "w", {"model.bin": b"weights"})
        assert s3.keys(bucket) == []
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0

    message = parse_message((tmp_path / "message").read_text())
    assert isinstance(message, Published)
    assert message.files == 1


def test_a_failure_has_its_exit_code_and_its_next_step(s3: S3Server, tmp_path: Path) -> None:
    with start(config(s3, tmp_path / "w", "no-such-bucket-here"), tmp_path) as process:
        output(tmp_path / "w", {"model.bin": b"weights"})
        process.send_signal(signal.SIGTERM)
        code = process.wait(30)

    message = parse_message((tmp_path / "message").read_text())
    assert isinstance(message, Failure)
    assert message.reason == "BucketNotFound"
    row = by_reason(message.reason)
    assert row is not None
    assert row.code == code
    assert "create the bucket" in message.message


@pytest.mark.parametrize(
    ("text", "said"),
    [(None, "is not set"), ("{", "is not JSON"), ("{}", "output"), (json.dumps({"output": "http://x"}), "output")],
)
def test_a_configuration_that_cannot_be_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None, said: str
) -> None:
    monkeypatch.setenv("PERENNIAL_TERMINATION_LOG", str(tmp_path / "message"))
    monkeypatch.delenv("PERENNIAL_CONFIG", raising=False)
    if text is not None:
        monkeypatch.setenv("PERENNIAL_CONFIG", text)

    assert main(["publish"]) == 64
    message = parse_message((tmp_path / "message").read_text())
    assert isinstance(message, Failure)
    assert said in message.message
