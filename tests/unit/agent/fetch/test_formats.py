"""Models are refused before they are loaded: by the names of their files, and by their first bytes."""

from __future__ import annotations

import io
import os
import pickle
import zipfile
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


def zipped(name: str) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr(name, b"x")
    return data.getvalue()


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
        (
            "triton",
            [
                "1/model.savedmodel/saved_model.pb",
                "1/model.savedmodel/fingerprint.pb",
                "1/model.savedmodel/variables/variables.index",
                "1/model.savedmodel/variables/variables.data-00000-of-00001",
                "1/model.savedmodel/assets/vocabulary.txt",
            ],
            None,
        ),
        (
            "triton",
            ["1/model.savedmodel/saved_model.pb", "1/model.savedmodel/variables/variables.data-/e.py"],
            PICKLE_REFUSED,
        ),
        ("triton", ["1/model.onnx", "1/model.onnx.data", "labels.TXT"], None),
        ("mlserver-xgboost", ["model.json", "metrics.json", "README.md", "plots/roc.PNG", "LICENSE"], None),
        ("mlserver-xgboost", ["model.json", "model-settings.json"], PICKLE_REFUSED),
        ("mlserver-xgboost", ["model.json", "model-settings.json", "evil.py"], PICKLE_REFUSED),
        ("mlserver-xgboost", ["model.json", "sub/model-settings.json"], PICKLE_REFUSED),
        ("mlserver-xgboost", ["model.json", "settings.json"], PICKLE_REFUSED),
        ("mlserver-xgboost", ["model.json", "environment.tar.gz"], PICKLE_REFUSED),
        ("mlserver-xgboost", ["model.json", "scaler.pkl.gz"], PICKLE_REFUSED),
        ("onnx", ["model.onnx", "config.pbtxt"], PICKLE_REFUSED),
        (
            "vllm",
            ["config.json", "model.safetensors", "tokenizer.model", "merges.txt", "chat_template.jinja", "README.md"],
            None,
        ),
        ("vllm", ["config.json", "model.safetensors", "modeling_custom.py"], PICKLE_REFUSED),
        (None, ["model.bin", "helper.py"], PICKLE_REFUSED),
        (None, ["lib/custom_ops.SO"], PICKLE_REFUSED),
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


SOUND = {
    "mlserver-xgboost": ["model.json"],
    "mlserver-lightgbm": ["model.bst"],
    "triton": ["config.pbtxt", "1/model.onnx"],
    "onnx": ["model.onnx"],
    "vllm": ["config.json", "model.safetensors"],
}


@pytest.mark.parametrize(
    "extra",
    [
        *(
            f"{folder}{name}"
            for folder in ("", "1/", "sub/1/", "1/model.savedmodel/")
            for name in (
                "evil.py",
                "EVIL.PY",
                "evil.pyc",
                "libtriton_x.so",
                "LIB.SO.1",
                "model.py",
                "evil.py.txt",
                "evil",
                ".evil",
                "model-settings.json.bak",
                "settings.yaml",
                "env.tar.gz",
                "hubconf.py",
                "x.zip",
                "evil.Pth",
            )
        ),
        "evil.egg/README.md",
        "1/model.savedmodel/variables/variables.data-00000-of-00001.py",
    ],
)
@pytest.mark.parametrize("runtime", SOUND)
def test_one_file_beyond_the_formats_refuses_the_version(runtime: str, extra: str) -> None:
    check_names(config(runtime), SOUND[runtime])
    with pytest.raises(AgentError) as caught:
        check_names(config(runtime), [*SOUND[runtime], extra])
    assert caught.value.failure is PICKLE_REFUSED
    check_names(config(runtime, allow=True), [*SOUND[runtime], extra])


CONFIG = """
name: "churn"  # the model
platform: "onnxruntime_onnx"
max_batch_size: 8
input [ { name: "age" data_type: TYPE_FP32 dims: [ -1, 3 ] } ]
output [ { name: "p", data_type: TYPE_FP32, dims: [ 1 ], label_filename: "labels.txt" } ]
instance_group [ { count: 1 kind: KIND_CPU } ]
dynamic_batching { max_queue_delay_microseconds: 100 }
version_policy: { latest { num_versions: 1 } }
"""


@pytest.mark.parametrize(
    ("extra", "refused"),
    [
        ("", None),
        ('backend: "python"', "backend 'python'"),
        ("backend: 'pytorch'", "backend 'pytorch'"),
        ('backend: "onnx" "runtime"', "backend 'onnx'"),
        ('backend\n:\n"\\160ython"', "backend"),
        ('platform: "ensemble"', "platform 'ensemble'"),
        ('default_model_filename: "labels.txt"', "default_model_filename"),
        ('parameters { key: "EXECUTION_ENV_PATH" value { string_value: "x.txt" } }', "parameters"),
        ('model_operations { op_library_filename: "x.txt" }', "model_operations"),
        ('cc_model_filenames { key: "8.0" value: "x.txt" }', "cc_model_filenames"),
        ("[evil.extension] { }", "evil"),
        ("\x00", "not understood"),
    ],
)
def test_a_triton_config_describes_data_only(tmp_path: Path, extra: str, refused: str | None) -> None:
    place = tmp_path / "config.pbtxt"
    place.write_text(CONFIG + extra)
    check_contents(config("triton", allow=True), {"config.pbtxt": place})
    if refused is None:
        check_contents(config("triton"), {"config.pbtxt": place})
        return
    with pytest.raises(AgentError, match=refused) as caught:
        check_contents(config("triton"), {"config.pbtxt": place})
    assert caught.value.failure is PICKLE_REFUSED


@pytest.mark.parametrize("target", ["../elsewhere", "data", "/usr/lib/evil.py", "missing.txt", "1/model.onnx"])
@pytest.mark.parametrize("name", ["1/labels.txt", "2"])
def test_links_in_an_image_cannot_hide_files(tmp_path: Path, name: str, target: str) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "model.py").touch()
    model = tmp_path / "model"
    (model / "1").mkdir(parents=True)
    (model / "data").mkdir()
    (model / "1" / "model.onnx").write_bytes(b"\x08\x07")
    rules = CheckModel(directory=str(model), runtime="triton", formats=PRESETS["triton"].formats)
    check_model(rules)
    (model / name).symlink_to(target)

    with pytest.raises(AgentError, match=name):
        check_model(rules)


def test_a_link_to_a_file_of_the_model_is_followed(tmp_path: Path) -> None:
    (tmp_path / "1").mkdir()
    (tmp_path / "weights.bin").write_bytes(b"\x08\x07")
    (tmp_path / "1" / "model.onnx").symlink_to("../weights.bin")
    rules = CheckModel(directory=str(tmp_path), runtime="triton", formats=PRESETS["triton"].formats)

    check_model(rules)

    (tmp_path / "weights.bin").write_bytes(pickle.dumps([]))
    with pytest.raises(AgentError, match=r"weights\.bin"):
        check_model(rules)


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
        ("model.onnx", zipped("archive/data.pkl"), True),
        ("model.onnx", zipped("readme"), False),
        ("labels.txt", b"\x7fELF\x02", True),
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
