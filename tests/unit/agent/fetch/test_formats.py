"""Models are refused before they are loaded: by the names of their files, and by their first bytes."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest

from perennial.agent.fetch.command import check_capacity
from perennial.agent.fetch.formats import check_contents, check_names
from perennial.agent.fetch.mounted import check_model
from perennial.agent.storage.errors import AgentError
from perennial.api.contract.commands import CheckModel, FetchModel
from perennial.core.failures import DATA_INVALID, FORMAT_REFUSED, OUT_OF_SPACE, PICKLE_REFUSED, AgentFailure
from perennial.generate.presets import PRESETS

DIGEST = "sha256:" + "a" * 64


def config(runtime: str | None = None, *, allow: bool | None = None, most: int | None = None) -> FetchModel:
    formats = PRESETS[runtime].formats if runtime else None
    return FetchModel(
        uri="s3://models/m/", digest=DIGEST, runtime=runtime, formats=formats, allow_pickle=allow, most_bytes=most
    )


@pytest.mark.parametrize(
    ("runtime", "files", "failure"),
    [
        (None, ["anything", "at.all"], None),
        (None, ["model.PKL"], PICKLE_REFUSED),
        (None, ["weights/step.ckpt"], PICKLE_REFUSED),
        ("mlserver-sklearn", ["model.joblib", "metrics.json"], PICKLE_REFUSED),
        ("mlserver-sklearn", ["model.onnx"], FORMAT_REFUSED),
        ("mlserver-sklearn", ["sub/model.joblib"], FORMAT_REFUSED),
        ("mlserver-xgboost", ["model.json"], None),
        ("mlserver-xgboost", ["model.json", "scaler.pkl"], PICKLE_REFUSED),
        ("mlserver-lightgbm", ["model.bst"], None),
        ("mlserver-mlflow", ["MLmodel", "model.xgb"], PICKLE_REFUSED),
        ("triton", ["config.pbtxt", "1/model.onnx"], None),
        ("triton", ["config.pbtxt", "1/model.savedmodel/saved_model.pb"], None),
        ("triton", ["1/model.py"], PICKLE_REFUSED),
        ("triton", ["1/model.onnx", "1/model.py"], PICKLE_REFUSED),
        ("triton", ["model.onnx"], FORMAT_REFUSED),
        ("onnx", ["model.onnx"], None),
        ("vllm", ["config.json", "model-00001-of-00002.safetensors"], None),
        ("vllm", ["config.json", "pytorch_model.bin"], PICKLE_REFUSED),
        ("vllm", [], FORMAT_REFUSED),
    ],
)
def test_names(runtime: str | None, files: list[str], failure: AgentFailure | None) -> None:
    if failure is None:
        check_names(config(runtime), files)
        return
    with pytest.raises(AgentError) as caught:
        check_names(config(runtime), files)
    assert caught.value.failure is failure
    if failure is PICKLE_REFUSED:
        check_names(config(runtime, allow=True), files)


def test_what_is_refused_is_named_and_bounded() -> None:
    with pytest.raises(
        AgentError, match=r"loads joblib \(model.joblib\); pickle .*the model contains a0, .* and 95 more"
    ):
        check_names(config("mlserver-sklearn"), [f"a{number}" for number in range(100)])
    with pytest.raises(AgentError, match="no files"):
        check_names(config("onnx"), [])


@pytest.mark.parametrize(
    ("name", "data", "refused"),
    [
        ("model.ubj", b"{L\x00", False),
        ("model.ubj", pickle.dumps({"a": 1}), True),
        ("weights", pickle.dumps([], protocol=2), True),
        ("model.bin", b"PK\x03\x04archive/data.pkl", True),
        ("archive.zip", b"PK\x03\x04readme", False),
        ("model.safetensors", b"\x80\x02\x00\x00\x00\x00\x00\x00{", False),
        ("text", b"\x80", False),
        ("text", "\u20ac".encode(), False),
        ("empty", b"", False),
    ],
)
def test_first_bytes(tmp_path: Path, name: str, data: bytes, refused: bool) -> None:
    place = tmp_path / name
    place.write_bytes(data)
    check_contents(config(allow=True), {name: place})
    if not refused:
        check_contents(config(), {name: place})
        return
    with pytest.raises(AgentError) as caught:
        check_contents(config(), {name: place})
    assert caught.value.failure is PICKLE_REFUSED


def test_a_mounted_model_is_held_to_the_same_rules(tmp_path: Path) -> None:
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "model.onnx").write_bytes(b"\x08\x07")
    os.mkfifo(tmp_path / "pipe")
    rules = CheckModel(directory=str(tmp_path), runtime="triton", formats=PRESETS["triton"].formats)
    check_model(rules)
    (tmp_path / "1" / "weights").write_bytes(pickle.dumps([]))
    with pytest.raises(AgentError, match="1/weights") as caught:
        check_model(rules)
    assert caught.value.failure is PICKLE_REFUSED
    with pytest.raises(AgentError, match="cannot be read") as caught:
        check_model(rules.model_copy(update={"directory": str(tmp_path / "none")}))
    assert caught.value.failure is DATA_INVALID


@pytest.mark.parametrize(
    ("most", "whole", "missing", "refused"),
    [(None, 10, 10, False), (10, 10, 10, False), (9, 10, 0, True), (None, 2**60, 2**60, True), (None, 2**60, 0, False)],
)
def test_room(tmp_path: Path, most: int | None, whole: int, missing: int, refused: bool) -> None:
    if not refused:
        check_capacity(config(most=most), tmp_path, whole, missing)
        return
    with pytest.raises(AgentError) as caught:
        check_capacity(config(most=most), tmp_path, whole, missing)
    assert caught.value.failure is OUT_OF_SPACE
