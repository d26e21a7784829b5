"""Objects in S3-compatible storage: listing, small reads and writes, uploads. Large reads are in `transfer`."""

import os
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import ClientError

from perennial.agent.storage.errors import BROKEN_STREAMS, AgentError, classify
from perennial.agent.storage.presigned import QuickReader
from perennial.agent.storage.transfer import Advance, Source, download
from perennial.api.common.pod import Storage
from perennial.core.failures import CONFIG_INVALID, DATA_INVALID, OBJECT_NOT_FOUND, TLS_FAILED

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
    """Path below the URI that was listed; for a single object its last part."""


def split_uri(uri: str) -> tuple[str, str]:
    """Return bucket and key of `s3://bucket/key`.

    Raises:
        AgentError: the text is no such URI.
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
    """Turn whatever is raised inside into an AgentError that names the URI."""
    try:
        yield
    except Exception as error:
        raise classify(error, uri) from error


class ObjectStore:
    """The storage that a resource's `storage` field describes. Safe for several threads."""

    def __init__(self, client: Any, quick: QuickReader | None = None) -> None:
        """Wrap a boto3 S3 client, which may be used from several threads."""
        self._client = client
        self._quick = quick

    def list(self, uri: str) -> Iterator[ObjectInfo]:
        """Yield the objects of a URI, by key.

        `s3://b/a/` yields what lies under `a/`. `s3://b/a` yields the object `a`, or if there is none, what lies
        under `a/`; never `a-b`.

        Raises:
            AgentError: the storage refuses, or does not answer. An empty prefix yields nothing.
        """
        bucket, key = split_uri(uri)
        if key and not key.endswith("/"):
            found = self._first(uri)
            if found is not None:
                yield found
                return
            key += "/"
        with naming(uri):
            for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=key):
                for item in page.get("Contents", ()):
                    yield _info(item, item["Key"][len(key) :])

    def exists(self, uri: str) -> bool:
        """Tell whether the object itself is there."""
        return self._first(uri) is not None

    def _first(self, uri: str) -> ObjectInfo | None:
        """Return the object itself: of all keys that begin with its key, its own is listed first."""
        bucket, key = split_uri(uri)
        with naming(uri):
            found = self._client.list_objects_v2(Bucket=bucket, Prefix=key, MaxKeys=1).get("Contents", [])
        return _info(found[0], key.rsplit("/", 1)[-1]) if found and found[0]["Key"] == key else None

    def get_bytes(self, uri: str, limit: int) -> bytes:
        """Return the content of an object of at most `limit` bytes.

        Raises:
            AgentError: DataInvalid when it is larger; ObjectNotFound; or as `core.failures` tells.
        """
        bucket, key = split_uri(uri)
        with naming(uri):
            for attempt in range(1, _TRIES + 1):
                answer = self._client.get_object(Bucket=bucket, Key=key)
                with answer["Body"] as body:
                    if answer["ContentLength"] > limit:
                        raise AgentError(
                            DATA_INVALID, f"{uri} has {answer['ContentLength']} bytes; at most {limit} are read"
                        )
                    try:
                        return bytes(body.read())
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
        """Write an object to a file, resuming what an earlier try left, and return its sha256 in hex.

        With `expected`, a file with another sha256 never appears. `advance` is told of bytes as they come.

        Raises:
            AgentError: as `core.failures` tells.
        """
        bucket, key = split_uri(uri)
        if size is None:
            found = self._first(uri)
            if found is None:
                raise AgentError(OBJECT_NOT_FOUND, f"{uri} is not there")
            size, etag = found.size, found.etag
        source = Source(bucket, key, size, etag)
        with naming(uri):
            data = self._quick.read(source) if self._quick else None
            return download(self._client, source, path, expected=expected, advance=advance, content=data)

    def put_bytes(self, uri: str, data: bytes, content_type: str = "application/octet-stream") -> None:
        """Write a small object."""
        bucket, key = split_uri(uri)
        with naming(uri):
            self._client.put_object(Bucket=bucket, Key=key, Body=data, ContentType=content_type)

    def upload(self, path: Path, uri: str, sha256: str | None = None) -> None:
        """Write a file of any size, in parts where it is large; keep its sha256 beside it when it is given."""
        bucket, key = split_uri(uri)
        extra = {"Metadata": {_SHA256: sha256}} if sha256 else None
        with naming(uri):
            self._client.upload_file(str(path), bucket, key, ExtraArgs=extra, Config=_UPLOAD)

    def uploaded_sha256(self, uri: str) -> str | None:
        """Return the sha256 that `upload` kept beside an object; None without one, or without the object."""
        bucket, key = split_uri(uri)
        with naming(uri):
            try:
                kept = self._client.head_object(Bucket=bucket, Key=key).get("Metadata", {}).get(_SHA256)
            except ClientError as error:
                if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") == _NOT_FOUND:
                    return None
                raise
        return str(kept) if kept else None


def open_storage(storage: Storage) -> ObjectStore:
    """Return the storage that is described, with the credentials of the environment.

    Raises:
        AgentError: the certificates cannot be read, or the description cannot be used.
    """
    authority = _authority()
    style = {} if storage.addressing == "auto" else {"addressing_style": storage.addressing}
    try:
        # A session of its own: the default one keeps the credentials that it saw first.
        client = boto3.Session().client(
            "s3",
            endpoint_url=storage.endpoint,
            region_name=storage.region or os.environ.get("AWS_REGION") or "us-east-1",
            verify=authority,
            config=Config(
                signature_version="s3v4",
                max_pool_connections=CONNECTIONS,
                connect_timeout=10,
                read_timeout=30,
                retries={"mode": "standard", "total_max_attempts": 3},
                s3=style,
                # Many S3-compatible servers do not know the newer checksums; every file's sha256 is checked by us.
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )
    except ValueError as error:
        raise AgentError(
            CONFIG_INVALID, f"the storage at {storage.endpoint or 'AWS'} cannot be used: {error}"
        ) from error
    return ObjectStore(client, QuickReader(client, authority, CONNECTIONS))


def _authority() -> str | None:
    """Return the file with the certificates to trust, if one is set and can be read."""
    path = os.environ.get("AWS_CA_BUNDLE")
    if not path:
        return None
    try:
        ssl.create_default_context(cafile=path)
    except OSError as error:  # which an unreadable certificate is too
        raise AgentError(
            TLS_FAILED, f"storage.caConfigMap has no usable certificates under the key ca.crt ({path}: {error})"
        ) from error
    return path


def _info(item: dict[str, Any], relative: str) -> ObjectInfo:
    return ObjectInfo(item["Key"], item["Size"], item["ETag"], item["LastModified"], relative)
