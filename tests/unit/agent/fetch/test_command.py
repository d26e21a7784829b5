"""Inputs and models come whole, checked, or not at all."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from perennial.agent.artifact.digest import content_digest, file_sha256
from perennial.agent.artifact.paths import safe_paths
from perennial.agent.fetch.command import fetch_inputs, fetch_model, fetch_models, folder_markers
from perennial.agent.publish.command import publish
from perennial.agent.storage.client import ObjectInfo, ObjectStore
from perennial.agent.storage.errors import AgentError
from perennial.agent.storage.opening import open_storage
from perennial.api.common.pod import Input, Storage
from perennial.api.contract.commands import FetchInputs, FetchModel, ModelFolder, PublishConfig
from perennial.api.contract.manifest import InputManifest
from perennial.api.contract.messages import Published
from perennial.core.failures import ACCESS_DENIED, BUCKET_NOT_FOUND
from tests.unit.agent.conftest import S3Server


def inputs(root: Path, *uris: str) -> FetchInputs:
    named = tuple(Input(name=f"i{number}", uri=uri) for number, uri in enumerate(uris))
    return FetchInputs(inputs=named, parameters={"depth": "6"}, root=str(root))


def published(s3: S3Server, store: ObjectStore, root: Path, files: dict[str, bytes]) -> Published:
    (root / "output").mkdir(parents=True)
    for name, data in files.items():
        path = root / "output" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    config = PublishConfig(
        output=f"s3://{s3.bucket()}/models/",
        namespace="n",
        training_job="t",
        run="t-1",
        attempt=0,
        root=str(root),
    )
    message = publish(config, store)
    assert isinstance(message, Published)
    return message


def test_a_prefix_never_pulls_its_sibling(s3: S3Server, store: ObjectStore, tmp_path: Path) -> None:
    bucket = s3.bucket()
    s3.put(bucket, {"models/a/x": b"1", "models/a/sub/empty": b"", "models/a-hf/y": b"2", "models/ab": b"3"})

    message = fetch_inputs(inputs(tmp_path, f"s3://{bucket}/models/a"), store)

    found = sorted(
        str(p.relative_to(tmp_path / "inputs/i0")) for p in (tmp_path / "inputs/i0").rglob("*") if p.is_file()
    )
    assert found == ["sub/empty", "x"]
    assert (message.inputs[0].files, message.inputs[0].bytes) == (2, 1)


def test_an_output_bucket_that_does_not_exist_is_told_before_the_training(
    s3: S3Server, store: ObjectStore, tmp_path: Path
) -> None:
    config = inputs(tmp_path).model_copy(update={"output": "s3://no-such-bucket-here/models/"})
    with pytest.raises(AgentError) as caught:
        fetch_inputs(config, store)
    assert caught.value.failure is BUCKET_NOT_FOUND
    assert "spec.output.uri s3://no-such-bucket-here/models/" in caught.value.message

    there = config.model_copy(update={"output": f"s3://{s3.bucket()}/models/"})
    assert fetch_inputs(there, store).files == 0


def test_an_output_that_may_not_be_listed_is_left_to_publishing(
    store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: str) -> Iterator[ObjectInfo]:
        raise AgentError(ACCESS_DENIED, "listing is denied")

    monkeypatch.setattr(store, "list", refuse)
    config = inputs(tmp_path).model_copy(update={"output": "s3://models/churn/"})
    assert fetch_inputs(config, store).files == 0


class Bucket:
    """An S3 client over objects that a store based on a file system cannot hold."""

    def __init__(self, objects: dict[str, bytes]) -> None:
        self.objects = objects

    def get_paginator(self, _: str) -> "Bucket":
        return self

    def paginate(self, **parameters: str) -> list[dict[str, Any]]:
        return [self.list_objects_v2(**parameters)]

    def list_objects_v2(self, Bucket: str, Prefix: str, **_: Any) -> dict[str, Any]:  # noqa: N803 - boto3's names
        found = sorted(key for key in self.objects if key.startswith(Prefix))
        return {"Contents": [{"Key": key, "Size": len(self.objects[key]), **LISTED} for key in found]}

    def get_object(self, Key: str, **_: Any) -> dict[str, Any]:  # noqa: N803 - boto3's name
        data = self.objects[Key]
        return {"Body": BytesIO(data), "ContentLength": len(data), "ETag": "e"}


LISTED = {"ETag": "e", "LastModified": datetime(2026, 1, 31, tzinfo=UTC)}


@pytest.mark.parametrize("prefix", ["data/raw", "data/raw/"])
def test_an_empty_object_with_the_name_of_a_folder_is_a_folder(tmp_path: Path, prefix: str) -> None:
    files = {"data/raw/part/a.csv": b"1", "data/raw/b.csv": b"2", "data/raw/empty.csv": b""}
    markers = {"data/raw": b"", "data/raw/part": b"", "data/raw/part/sub/": b""}

    store = ObjectStore(Bucket({**markers, **files}))
    message = fetch_inputs(inputs(tmp_path, f"s3://bucket/{prefix}"), store)

    folder = tmp_path / "inputs/i0"
    assert sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()) == [
        "b.csv",
        "empty.csv",
        "part/a.csv",
    ]
    assert (folder / "part/sub").is_dir()
    assert message.inputs[0].files == 3


def test_an_empty_object_alone_is_a_file(s3: S3Server, store: ObjectStore, tmp_path: Path) -> None:
    bucket = s3.bucket()
    s3.put(bucket, {"data/empty.csv": b"", "data/empty.csv.bak": b"x"})

    fetch_inputs(inputs(tmp_path, f"s3://{bucket}/data/empty.csv"), store)

    assert [path.name for path in (tmp_path / "inputs/i0").iterdir()] == ["empty.csv"]


def test_an_object_with_content_cannot_be_a_folder_too(s3: S3Server, store: ObjectStore, tmp_path: Path) -> None:
    uri = "s3://data/raw/"
    listed = [ObjectInfo(f"raw/{name}", 1, "e", datetime.now(UTC), name) for name in ("a", "a/b")]

    assert folder_markers(listed) == frozenset()
    with pytest.raises(AgentError, match="both as an object and as the folder"):
        safe_paths(tmp_path, (found.relative for found in listed), uri)


def test_a_single_object_comes_under_its_own_name(s3: S3Server, store: ObjectStore, tmp_path: Path) -> None:
    bucket = s3.bucket()
    s3.put(bucket, {"data/train.csv": b"a,b\n", "data/train.csv.bak": b"old"})

    fetch_inputs(inputs(tmp_path, f"s3://{bucket}/data/train.csv"), store)

    assert (tmp_path / "inputs/i0/train.csv").read_bytes() == b"a,b\n"
    assert json.loads((tmp_path / "params.json").read_text()) == {"depth": "6"}


def test_the_record_lists_what_was_pulled(s3: S3Server, store: ObjectStore, tmp_path: Path) -> None:
    bucket = s3.bucket()
    s3.put(bucket, {f"d/{number}": str(number).encode() for number in range(120)})

    message = fetch_inputs(inputs(tmp_path, f"s3://{bucket}/d/"), store)

    (record,) = [
        InputManifest.model_validate(item) for item in json.loads((tmp_path / ".perennial/inputs.json").read_text())
    ]
    assert record.digest == message.inputs[0].digest == content_digest(record.files)
    assert [entry.sha256 for entry in record.files[:2]] == [
        file_sha256(tmp_path / "inputs/i0" / record.files[0].path),
        file_sha256(tmp_path / "inputs/i0" / record.files[1].path),
    ]


def test_a_published_model_comes_back_byte_for_byte(s3: S3Server, store: ObjectStore, tmp_path: Path) -> None:
    message = published(s3, store, tmp_path / "a", {"model.bin": b"x" * 1000, "sub/empty": b""})
    config = FetchModel(uri=message.uri, digest=message.digest, directory=str(tmp_path / "model"))

    fetch_model(config, store)
    first = (tmp_path / "model/model.bin").stat().st_mtime_ns
    fetch_model(config, store)

    assert (tmp_path / "model/model.bin").read_bytes() == b"x" * 1000
    assert (tmp_path / "model/sub/empty").read_bytes() == b""
    assert (tmp_path / "model/model.bin").stat().st_mtime_ns == first, "what is whole is not pulled again"


@pytest.mark.parametrize("tampered", [b"y" * 1000, b"x" * 999], ids=["other content", "other size"])
def test_a_changed_file_is_never_served(s3: S3Server, store: ObjectStore, tmp_path: Path, tampered: bytes) -> None:
    message = published(s3, store, tmp_path / "a", {"model.bin": b"x" * 1000})
    bucket, key = message.uri.removeprefix("s3://").split("/", 1)
    s3.put(bucket, {f"{key}model.bin": tampered})

    with pytest.raises(AgentError, match=r"model\.bin") as caught:
        fetch_model(FetchModel(uri=message.uri, digest=message.digest, directory=str(tmp_path / "model")), store)

    assert caught.value.failure.reason == "DigestMismatch"
    assert not (tmp_path / "model/model.bin").exists()


def test_another_digest_than_the_one_asked_for(s3: S3Server, store: ObjectStore, tmp_path: Path) -> None:
    message = published(s3, store, tmp_path / "a", {"model.bin": b"x"})

    with pytest.raises(AgentError) as caught:
        fetch_model(FetchModel(uri=message.uri, digest="sha256:" + "0" * 64, directory=str(tmp_path / "m")), store)

    assert caught.value.failure.reason == "DigestMismatch"


@pytest.mark.parametrize(
    ("uri", "reason"),
    [("s3://{bucket}/nothing/", "ObjectNotFound"), ("s3://no-such-bucket-here/a/", "BucketNotFound")],
)
def test_what_is_missing_is_named(s3: S3Server, store: ObjectStore, tmp_path: Path, uri: str, reason: str) -> None:
    address = uri.format(bucket=s3.bucket())

    with pytest.raises(AgentError, match=address) as caught:
        fetch_inputs(inputs(tmp_path, address), store)

    assert caught.value.failure.reason == reason


def test_a_wrong_key_is_access_denied(s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = s3.bucket()
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")

    with pytest.raises(AgentError) as caught:
        fetch_inputs(inputs(tmp_path, f"s3://{bucket}/a/"), open_storage(s3.storage))

    assert caught.value.failure.reason == "ArtifactAccessDenied"


def test_no_keys_at_all(s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("HOME", str(tmp_path))

    with pytest.raises(AgentError, match="secretName") as caught:
        fetch_inputs(inputs(tmp_path, f"s3://{s3.bucket()}/a/"), open_storage(s3.storage))

    assert caught.value.failure.reason == "ArtifactAccessDenied"


def test_an_endpoint_where_nothing_listens(tmp_path: Path) -> None:
    store = open_storage(Storage(endpoint="http://127.0.0.1:9", addressing="path"))

    with pytest.raises(AgentError, match="cannot connect to the storage") as caught:
        fetch_inputs(inputs(tmp_path, "s3://abc/a/"), store)

    assert caught.value.failure.reason == "EndpointUnreachable"


def test_several_models_share_the_volume_and_the_rules(s3: S3Server, store: ObjectStore, tmp_path: Path) -> None:
    first = published(s3, store, tmp_path / "a", {"model.bin": b"x" * 100})
    second = published(s3, store, tmp_path / "b", {"model.bin": b"y" * 100})
    pickled = published(s3, store, tmp_path / "c", {"model.pkl": b"z"})
    folders = {name: str(tmp_path / "models" / name) for name in ("first", "second")}

    def config(other: Published, most: int | None = None) -> FetchModel:
        more = (ModelFolder(uri=other.uri, digest=other.digest, directory=folders["second"]),)
        uri, digest = first.uri, first.digest
        return FetchModel(uri=uri, digest=digest, directory=folders["first"], more=more, most_bytes=most)

    fetch_models(config(second, 200), store)
    assert (tmp_path / "models/first/model.bin").read_bytes() == b"x" * 100
    assert (tmp_path / "models/second/model.bin").read_bytes() == b"y" * 100
    with pytest.raises(AgentError, match=r"100 bytes, but workspace.sizeLimit allows 99") as caught:
        fetch_models(config(second, 199), store)
    assert caught.value.failure.reason == "OutOfSpace"
    with pytest.raises(AgentError) as caught:
        fetch_models(config(pickled), store)
    assert caught.value.failure.reason == "PickleRefused"


def test_a_model_that_is_refused_is_not_downloaded(s3: S3Server, store: ObjectStore, tmp_path: Path) -> None:
    message = published(s3, store, tmp_path / "a", {"model.pkl": b"x", "notes.txt": b"y"})
    with pytest.raises(AgentError, match=r"model\.pkl"):
        fetch_model(FetchModel(uri=message.uri, digest=message.digest, directory=str(tmp_path / "m")), store)
    assert not (tmp_path / "m").exists()
