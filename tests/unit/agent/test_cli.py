"""Every end of the agent leaves a message that fits, and SIGTERM is never lost."""

import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from perennial.agent.cli import encode, failure_message
from perennial.agent.publish.command import publish
from perennial.agent.storage.client import ObjectStore
from perennial.agent.storage.errors import AgentError
from perennial.agent.storage.opening import open_storage
from perennial.api.common.pod import Input, Storage
from perennial.api.contract.commands import FetchInputs, PublishConfig
from perennial.api.contract.messages import MAX_BYTES, Failure, NothingToPublish, Published
from perennial.core.failures import TABLE, AgentFailure
from perennial.core.termination import parse_message
from tests.unit.agent.conftest import S3Server

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("failure", TABLE, ids=lambda failure: failure.reason)
def test_a_failure_fits_and_keeps_its_next_step(failure: AgentFailure) -> None:
    text = failure_message(failure, "\U0001f4a5\n" * 5000)

    message = encode(Failure(reason=failure.reason, message=text))

    assert text.endswith(failure.next_step)
    assert len(message.encode()) <= MAX_BYTES
    assert isinstance(parse_message(message), Failure)


def test_a_fetch_that_is_stopped_says_so_at_once(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        asked = threading.Event()
        held: list[object] = []
        threading.Thread(target=lambda: (held.append(silent.accept()), asked.set()), daemon=True).start()
        storage = Storage(endpoint=f"http://127.0.0.1:{silent.getsockname()[1]}", addressing="path")
        config = FetchInputs(storage=storage, inputs=(Input(name="a", uri="s3://abc/a/"),), root=str(tmp_path / "r"))
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT / "operator"),
            "PERENNIAL_CONFIG": config.model_dump_json(by_alias=True),
            "PERENNIAL_TERMINATION_LOG": str(tmp_path / "message"),
        }
        with subprocess.Popen([sys.executable, "-m", "perennial", "agent", "fetch"], env=environment) as process:
            assert asked.wait(60)
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 76

    message = parse_message((tmp_path / "message").read_text())
    assert isinstance(message, Failure)
    assert message.reason == "Interrupted"


def test_certificates_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "ca.crt"))

    with pytest.raises(AgentError, match="caConfigMap") as caught:
        open_storage(Storage(endpoint="https://127.0.0.1:9"))

    assert caught.value.failure.reason == "TLSFailed"


def test_publishing_again_mends_a_file_of_the_same_size(s3: S3Server, store: ObjectStore, tmp_path: Path) -> None:
    (tmp_path / "output").mkdir()
    (tmp_path / "output/model.bin").write_bytes(b"weights")
    config = PublishConfig(
        output=f"s3://{s3.bucket()}/m/",
        namespace="n",
        training_job="t",
        run="t-1",
        attempt=0,
        root=str(tmp_path),
    )
    message = publish(config, store)
    assert isinstance(message, Published)
    bucket, key = f"{message.uri}model.bin".removeprefix("s3://").split("/", 1)
    s3.put(bucket, {key: b"WEIGHTS"})

    publish(config, store)

    assert s3.read(bucket, key) == b"weights"


def test_a_reserved_name_is_left_out(store: ObjectStore, tmp_path: Path) -> None:
    (tmp_path / "output").mkdir()
    (tmp_path / "output/manifest.json").write_bytes(b"{}")
    config = PublishConfig(
        output="s3://abc/m/", namespace="n", training_job="t", run="t-1", attempt=0, root=str(tmp_path)
    )

    assert isinstance(publish(config, store), NothingToPublish)
