"""Writes carry the encryption headers of spec.storage; what is deleted may be gone already."""

from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from perennial.agent.storage.client import ObjectStore
from perennial.agent.storage.errors import AgentError
from perennial.agent.storage.opening import open_storage
from perennial.api.common.pod import Encryption, Storage

KEY = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd"


class Client:
    def __init__(self) -> None:
        self.parameters: list[dict[str, Any]] = []

    def put_object(self, **parameters: Any) -> None:
        self.parameters.append(parameters)

    def upload_file(self, *_: Any, ExtraArgs: dict[str, Any], **__: Any) -> None:  # noqa: N803 - boto3's name
        self.parameters.append(ExtraArgs)


@pytest.mark.parametrize(
    ("encryption", "headers"),
    [
        (None, {}),
        ({"type": "AES256"}, {"ServerSideEncryption": "AES256"}),
        ({"type": "aws:kms"}, {"ServerSideEncryption": "aws:kms"}),
        ({"type": "aws:kms", "kmsKeyId": KEY}, {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": KEY}),
    ],
)
def test_every_write_carries_the_encryption_headers(
    tmp_path: Path, encryption: dict[str, str] | None, headers: dict[str, str]
) -> None:
    client = Client()
    store = ObjectStore(client, encryption=Encryption.model_validate(encryption) if encryption else None)
    (tmp_path / "model").write_bytes(b"w")

    store.put_bytes("s3://bucket/a.json", b"{}")
    store.upload(tmp_path / "model", "s3://bucket/model", "0" * 64)
    store.upload(tmp_path / "model", "s3://bucket/model")

    names = ("ServerSideEncryption", "SSEKMSKeyId")
    assert [{name: sent[name] for name in names if name in sent} for sent in client.parameters] == [headers] * 3
    assert client.parameters[1]["Metadata"] == {"sha256": "0" * 64}


def test_a_request_and_every_part_of_a_large_upload_are_sent_with_the_header(
    tmp_path: Path, credentials: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_storage(Storage(region="eu-central-1", encryption=Encryption(type="aws:kms", kms_key_id=KEY)))
    sent: dict[str, dict[str, Any]] = {}

    def answer(_client: Any, name: str, parameters: dict[str, Any]) -> dict[str, Any]:
        sent[name] = parameters
        return {"UploadId": "u", "ETag": "e"}

    monkeypatch.setattr("botocore.client.BaseClient._make_api_call", answer)
    large = tmp_path / "large"
    with large.open("wb") as file:
        file.truncate(65 * 2**20)

    store.upload(large, "s3://bucket/large", "0" * 64)
    store.put_bytes("s3://bucket/a.json", b"{}")

    for name in ("CreateMultipartUpload", "PutObject"):
        assert (sent[name]["ServerSideEncryption"], sent[name]["SSEKMSKeyId"]) == ("aws:kms", KEY)
    assert "CompleteMultipartUpload" in sent


@pytest.mark.parametrize(
    ("code", "status", "reason"), [("NoSuchKey", 404, None), ("AccessDenied", 403, "ArtifactAccessDenied")]
)
def test_what_is_gone_already_is_deleted_and_a_refusal_names_the_object(
    code: str, status: int, reason: str | None
) -> None:
    class Refusing:
        def delete_object(self, **_: Any) -> None:
            raise ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, "DeleteObject")

    store = ObjectStore(Refusing())
    if reason is None:
        store.delete("s3://bucket/a")
        return
    with pytest.raises(AgentError, match=f"s3://bucket/a: the storage responded {status}: {code}") as caught:
        store.delete("s3://bucket/a")
    assert caught.value.failure.reason == reason
