"""Objects in S3-compatible storage: listing, small reads and writes, uploads. Large reads are in `transfer`."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config

from perennial.agent.errors import AgentError, classify
from perennial.agent.transfer import Source, download
from perennial.api.pod import Storage
from perennial.core.failures import CONFIG_INVALID, OBJECT_NOT_FOUND

CONNECTIONS = 32
_UPLOAD = TransferConfig(multipart_threshold=64 * 2**20, multipart_chunksize=16 * 2**20, max_concurrency=4)


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
    """The storage that a resource's `storage` field describes."""

    def __init__(self, client: Any) -> None:
        """Wrap a boto3 S3 client, which may be used from several threads."""
        self._client = client

    def list(self, uri: str) -> Iterator[ObjectInfo]:
        """Yield the objects of a URI, by key.

        `s3://b/a/` yields what lies under `a/`. `s3://b/a` yields the object `a`, or if there is none, what lies
        under `a/`; never `a-b`.

        Raises:
            AgentError: the storage refuses, or does not answer. An empty prefix yields nothing.
        """
        bucket, key = split_uri(uri)
        with naming(uri):
            if key and not key.endswith("/"):
                first = self._client.list_objects_v2(Bucket=bucket, Prefix=key, MaxKeys=1).get("Contents", [])
                if first and first[0]["Key"] == key:
                    yield _info(first[0], key.rsplit("/", 1)[-1])
                    return
                key += "/"
            for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=key):
                for item in page.get("Contents", ()):
                    yield _info(item, item["Key"][len(key) :])

    def exists(self, uri: str) -> bool:
        """Tell whether the object itself is there."""
        bucket, key = split_uri(uri)
        with naming(uri):
            found = self._client.list_objects_v2(Bucket=bucket, Prefix=key, MaxKeys=1).get("Contents", [])
        return bool(found) and found[0]["Key"] == key

    def get_bytes(self, uri: str, limit: int) -> bytes:
        """Return the content of an object of at most `limit` bytes.

        Raises:
            AgentError: it is larger, it is not there, or the storage fails.
        """
        bucket, key = split_uri(uri)
        with naming(uri):
            answer = self._client.get_object(Bucket=bucket, Key=key)
            if answer["ContentLength"] > limit:
                raise AgentError(CONFIG_INVALID, f"{uri} has {answer['ContentLength']} bytes; at most {limit} are read")
            return bytes(answer["Body"].read())

    def download(self, uri: str, path: Path, size: int | None = None, etag: str | None = None) -> str:
        """Write an object to a file, resuming what an earlier try left, and return its sha256 in hex.

        Raises:
            AgentError: as `core.failures` tells.
        """
        bucket, key = split_uri(uri)
        if size is None:
            found = next(iter(self.list(uri)), None)
            if found is None or found.key != key:
                raise AgentError(OBJECT_NOT_FOUND, f"{uri} is not there")
            size, etag = found.size, found.etag
        with naming(uri):
            return download(self._client, Source(bucket, key, size, etag), path)

    def put_bytes(self, uri: str, data: bytes, content_type: str = "application/octet-stream") -> None:
        """Write a small object."""
        bucket, key = split_uri(uri)
        with naming(uri):
            self._client.put_object(Bucket=bucket, Key=key, Body=data, ContentType=content_type)

    def upload(self, path: Path, uri: str) -> None:
        """Write a file of any size, in parts where it is large."""
        bucket, key = split_uri(uri)
        with naming(uri):
            self._client.upload_file(str(path), bucket, key, Config=_UPLOAD)


def open_storage(storage: Storage) -> ObjectStore:
    """Return the storage that is described, with the credentials of the environment."""
    authority = os.environ.get("AWS_CA_BUNDLE") or None
    style = {} if storage.addressing == "auto" else {"addressing_style": storage.addressing}
    with naming(storage.endpoint or "the storage"):
        # A session of its own: the default one keeps the credentials that it saw first.
        client = boto3.Session().client(
            "s3",
            endpoint_url=storage.endpoint,
            region_name=storage.region or os.environ.get("AWS_REGION") or "us-east-1",
            verify=authority,
            config=Config(
                max_pool_connections=CONNECTIONS,
                connect_timeout=10,
                read_timeout=30,
                retries={"mode": "standard", "total_max_attempts": 4},
                s3=style,
                # Many S3-compatible servers do not know the newer checksums; every file's sha256 is checked by us.
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )
    return ObjectStore(client)


def _info(item: dict[str, Any], relative: str) -> ObjectInfo:
    return ObjectInfo(item["Key"], item["Size"], item["ETag"], item["LastModified"], relative)
