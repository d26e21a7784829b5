"""Model folders and training outputs of tests/corpus, through the real commands."""

import json
import os
import pickle
import socket
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from perennial.agent.cli import main
from perennial.agent.publish.command import publish
from perennial.agent.storage.client import ObjectStore
from perennial.agent.storage.errors import AgentError
from perennial.api.contract.commands import CheckModel, PublishConfig
from perennial.api.contract.manifest import Manifest
from perennial.core.failures import by_reason
from perennial.core.termination import parse_message
from perennial.generate.presets import PRESETS
from tests.unit.agent.conftest import S3Server

CORPUS = Path(__file__).resolve().parents[2] / "corpus"
MODELS = yaml.safe_load((CORPUS / "models" / "cases.yaml").read_text())
OUTPUTS = yaml.safe_load((CORPUS / "outputs" / "cases.yaml").read_text())


def write(folder: Path, files: dict[str, Any]) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        match content:
            case str():
                path.write_text(content)
            case {"link": target}:
                path.symlink_to(target)
            case {"pickle": True}:
                path.write_bytes(pickle.dumps({}))
            case {"elf": True}:
                path.write_bytes(b"\x7fELF\x02\x01\x01")
            case {"zip": inner}:
                with zipfile.ZipFile(path, "w") as archive:
                    archive.writestr(inner, b"x")
            case {"pipe": True}:
                os.mkfifo(path)
            case {"socket": True}:
                # By a short relative name, since the length of a socket's address is limited.
                with socket.socket(socket.AF_UNIX) as helper:
                    before = Path.cwd()
                    os.chdir(path.parent)
                    helper.bind(path.name)
                    os.chdir(before)
            case _:
                raise ValueError(f"unknown content of {name}: {content}")


@pytest.mark.parametrize("case", MODELS, ids=lambda case: str(case["about"]))
def test_a_model_folder(case: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "model", case["files"])
    runtime = case.get("runtime")
    formats = PRESETS[runtime].formats if runtime else None
    config = CheckModel(directory=str(tmp_path / "model"), runtime=runtime, formats=formats)
    monkeypatch.setenv("PERENNIAL_CONFIG", config.model_dump_json(by_alias=True, exclude_none=True))
    monkeypatch.setenv("PERENNIAL_TERMINATION_LOG", str(tmp_path / "message"))
    monkeypatch.setattr("perennial.agent.cli._exit_on_sigterm", lambda: None)

    code = main(["fetch"])

    text = (tmp_path / "message").read_text()
    message: Any = parse_message(text)
    failure = by_reason(case["outcome"])
    assert code == (failure.code if failure is not None else 0)
    assert getattr(message, "reason", message.kind) == case["outcome"], text


@pytest.mark.parametrize("case", OUTPUTS, ids=lambda case: str(case["about"]))
def test_an_output(case: Any, s3: S3Server, store: ObjectStore, tmp_path: Path) -> None:
    write(tmp_path / "output", case["files"])
    bucket = s3.bucket()
    config = PublishConfig(
        output=f"s3://{bucket}/m/", namespace="n", training_job="t", run="t-1", attempt=0, root=str(tmp_path)
    )
    if "fails" in case:
        with pytest.raises(AgentError) as caught:
            publish(config, store)
        assert caught.value.failure.reason == case["fails"]
        assert not caught.value.failure.retriable
        return

    publish(config, store)

    manifests = [key for key in s3.keys(bucket) if key.endswith("/manifest.json")]
    found = [Manifest.model_validate(json.loads(s3.read(bucket, key))) for key in manifests]
    assert [entry.path for manifest in found for entry in manifest.files] == case["published"]
    assert {entry.path: entry.reason for manifest in found for entry in manifest.skipped} == case.get("skipped", {})
