"""Client for S3-compatible storage: listing, small reads and writes, uploads. Large downloads are in `transfer`."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError

from perennial.agent.storage.conditional import Retention, locked, put_if, refuses_it, status_of
from perennial.agent.storage.errors import BROKEN_STREAMS, AgentError, classify
from perennial.agent.storage.presigned import PresignedReader
from perennial.agent.storage.transfer import Advance, Source, download
from perennial.agent.storage.versions import KeptVersion, list_versions, read_end
from perennial.api.common.pod import Encryption
from perennial.core.failures import AUDIT_STORAGE_UNFIT, CONFIG_INVALID, DATA_INVALID, OBJECT_NOT_FOUND

CONNECTIONS = 64
_UPLOAD = TransferConfig(multipart_threshold=64 * 2**20, multipart_chunksize=16 * 2**20, max_concurrency=4)
_TRIES = 4
_NOT_FOUND = 404
_SHA256 = "sha256"


@dataclass(frozen=True)
class ObjectInfo:
    """One object, as it was listed."""

    key: str
    size: int
    etag: str
    last_modified: datetime
    relative: str
    """Path below the listed URI; for a single object the last segment of its key."""


@dataclass(frozen=True)
class Version:
    """Content of an object and the ETag that identifies it."""

    data: bytes
    etag: str


def split_uri(uri: str) -> tuple[str, str]:
    """Return bucket and key of `s3://bucket/key`.

    Raises:
        AgentError: the text is not an S3 URI.
    """
    scheme, _, rest = uri.partition("://")
    bucket, _, key = rest.partition("/")
    if scheme != "s3" or not bucket:
        raise AgentError(CONFIG_INVALID, f"{uri!r} is not of the form s3://bucket/key")
    return bucket, key


def join_uri(uri: str, path: str) -> str:
    """Return the URI of a path below a URI."""
    return f"{uri.rstrip('/')}/{path}"


@contextmanager
def naming(uri: str) -> Iterator[None]:
    """Convert any exception raised inside to an AgentError that names the URI."""
    try:
        yield
    except Exception as error:
        raise classify(error, uri) from error


class ObjectStore:
    """S3-compatible storage as configured by a resource's `storage` field. Thread-safe."""

    def __init__(
        self, client: Any, presigned: PresignedReader | None = None, encryption: Encryption | None = None
    ) -> None:
        """Wrap a boto3 S3 client, which is thread-safe; `presigned` speeds up small downloads."""
        self._client = client
        self._presigned = presigned
        self._encryption = _encryption_headers(encryption)

    def list(self, uri: str) -> Iterator[ObjectInfo]:
        """Yield the objects of a URI, by key.

        `s3://b/a/` yields the objects under `a/`. `s3://b/a` yields the object `a` or, if there is none or it is
        empty, the objects under `a/`; never `a-b`.

        Raises:
            AgentError: the request fails. An empty prefix is not an error.
        """
        bucket, key = split_uri(uri)
        marker = None
        if key and not key.endswith("/"):
            found = self._first(uri)
            if found is not None and found.size > 0:
                yield found
                return
            # An empty object is perhaps the marker of a folder, as some clients write it.
            marker = found
            key += "/"
        with naming(uri):
            for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=key):
                for item in page.get("Contents", ()):
                    marker = None
                    yield _info(item, item["Key"][len(key) :])
        if marker is not None:
            yield marker

    def exists(self, uri: str) -> bool:
        """Whether the object itself exists; a prefix with objects below it does not count."""
        return self._first(uri) is not None

    def _first(self, uri: str) -> ObjectInfo | None:
        """Return the object, if it exists. Of all keys with this prefix, the key itself is listed first."""
        bucket, key = split_uri(uri)
        with naming(uri):
            found = self._client.list_objects_v2(Bucket=bucket, Prefix=key, MaxKeys=1).get("Contents", [])
        return _info(found[0], key.rsplit("/", 1)[-1]) if found and found[0]["Key"] == key else None

    def get_bytes(self, uri: str, limit: int) -> bytes:
        """Return the content of an object of at most `limit` bytes.

        Raises:
            AgentError: DataInvalid if it is larger; ObjectNotFound; otherwise as in `core.failures`.
        """
        return self._get(uri, limit).data

    def _get(self, uri: str, limit: int) -> Version:
        bucket, key = split_uri(uri)
        with naming(uri):
            for attempt in range(1, _TRIES + 1):
                answer = self._client.get_object(Bucket=bucket, Key=key)
                with answer["Body"] as body:
                    if answer["ContentLength"] > limit:
                        raise AgentError(
                            DATA_INVALID, f"{uri} has {answer['ContentLength']} bytes; the limit is {limit}"
                        )
                    try:
                        return Version(bytes(body.read()), answer["ETag"])
                    except BROKEN_STREAMS:
                        if attempt == _TRIES:
                            raise
                time.sleep(0.1 * 2**attempt)
        raise AssertionError("unreachable: the last attempt returns or raises")

    def download(
        self,
        uri: str,
        path: Path,
        size: int | None = None,
        etag: str | None = None,
        *,
        expected: str | None = None,
        advance: Advance = lambda _: None,
    ) -> str:
        """Download an object to a file, resuming an earlier try, and return its sha256 in hex.

        With `expected`, the file is created only if its sha256 matches. `advance` is called with the number of bytes
        as they arrive.

        Raises:
            AgentError: as in `core.failures`.
        """
        bucket, key = split_uri(uri)
        if size is None:
            found = self._first(uri)
            if found is None:
                raise AgentError(OBJECT_NOT_FOUND, f"{uri} does not exist")
            size, etag = found.size, found.etag
        source = Source(bucket, key, size, etag)
        with naming(uri):
            data = self._presigned.read(source) if self._presigned else None
            return download(self._client, source, path, expected=expected, advance=advance, content=data)

    def put_bytes(self, uri: str, data: bytes, content_type: str = "application/octet-stream") -> None:
        """Upload a small object in one request."""
        bucket, key = split_uri(uri)
        with naming(uri):
            self._client.put_object(Bucket=bucket, Key=key, Body=data, ContentType=content_type, **self._encryption)

    def delete(self, uri: str) -> None:
        """Delete an object; no error if there is none. A bucket with versioning keeps what it was.

        Raises:
            AgentError: as in `core.failures`.
        """
        bucket, key = split_uri(uri)
        try:
            with naming(uri):
                self._client.delete_object(Bucket=bucket, Key=key)
        except AgentError as error:  # S3 itself answers that it is deleted, other storage that there is none
            if error.failure is not OBJECT_NOT_FOUND:
                raise

    def get_version(self, uri: str, limit: int) -> Version | None:
        """Return the content of an object of at most `limit` bytes and its ETag; None if it does not exist.

        Raises:
            AgentError: DataInvalid if it is larger; otherwise as in `core.failures`.
        """
        try:
            return self._get(uri, limit)
        except AgentError as error:
            if error.failure is OBJECT_NOT_FOUND:
                return None
            raise

    def replace_version(self, uri: str, data: bytes, content_type: str, etag: str | None) -> bool:
        """Upload a small object if it still has this ETag, or with None if there still is none.

        Storage that does not know conditional writes overwrites it in any case.

        Returns:
            False: another writer has changed it; nothing was written.
        """
        bucket, key = split_uri(uri)
        content = {"Bucket": bucket, "Key": key, "Body": data, "ContentType": content_type, **self._encryption}
        with naming(uri):
            return put_if(self._client, content, etag, fall_back=True)

    def append_version(
        self, uri: str, data: bytes, content_type: str, etag: str | None, retention: Retention | None = None
    ) -> bool:
        """Write as `replace_version` does, but never without a condition, and with Object Lock if it is asked for.

        Raises:
            AgentError: AuditStorageUnfit if the storage cannot do it; otherwise as in `core.failures`.
        """
        bucket, key = split_uri(uri)
        content = {"Bucket": bucket, "Key": key, "Body": data, "ContentType": content_type, **self._encryption}
        with naming(uri):
            try:
                return put_if(self._client, {**content, **locked(data, retention)}, etag, fall_back=False)
            except ClientError as error:
                if not refuses_it(error, locks=retention is not None):
                    raise
                raise AgentError(AUDIT_STORAGE_UNFIT, f"{uri} cannot be written: {error}") from error

    def versions(self, uri: str) -> Iterator[KeptVersion]:
        """Yield what the bucket keeps of all objects below a URI, delete markers included."""
        bucket, key = split_uri(uri)
        with naming(uri):
            yield from list_versions(self._client, bucket, key.rstrip("/") + "/" if key else "")

    def version_end(self, uri: str, kept: KeptVersion, length: int) -> bytes:
        """Return the last bytes of a version of an object in the bucket of a URI."""
        with naming(f"{uri} version {kept.version}"):
            return read_end(self._client, split_uri(uri)[0], kept, length)

    def upload(self, path: Path, uri: str, sha256: str | None = None) -> None:
        """Upload a file of any size, large ones by multipart upload; store `sha256` as object metadata."""
        bucket, key = split_uri(uri)
        extra = {**({"Metadata": {_SHA256: sha256}} if sha256 else {}), **self._encryption}
        with naming(uri):
            self._client.upload_file(str(path), bucket, key, ExtraArgs=extra, Config=_UPLOAD)

    def uploaded_sha256(self, uri: str) -> str | None:
        """Return the sha256 stored by `upload`; None if there is none, or no such object."""
        bucket, key = split_uri(uri)
        with naming(uri):
            try:
                kept = self._client.head_object(Bucket=bucket, Key=key).get("Metadata", {}).get(_SHA256)
            except ClientError as error:
                if status_of(error) == _NOT_FOUND:
                    return None
                raise
        return str(kept) if kept else None


def _encryption_headers(encryption: Encryption | None) -> dict[str, str]:
    """Return the parameters of a write that select server-side encryption."""
    if encryption is None:
        return {}
    key = {"SSEKMSKeyId": encryption.kms_key_id} if encryption.kms_key_id else {}
    return {"ServerSideEncryption": encryption.type, **key}


def _info(item: dict[str, Any], relative: str) -> ObjectInfo:
    return ObjectInfo(item["Key"], item["Size"], item["ETag"], item["LastModified"], relative)
