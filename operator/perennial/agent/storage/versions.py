"""Versions that a bucket keeps of its objects."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class KeptVersion:
    """One version of an object, or a delete marker.

    Attributes:
        key: key within the bucket.
        version: its id; "null" in a bucket without versioning.
        size: bytes; 0 for a marker.
        newest: whether readers of the object get it.
        deleted: whether it is a delete marker.
    """

    key: str
    version: str
    size: int
    newest: bool
    deleted: bool = False


def list_versions(client: Any, bucket: str, prefix: str) -> Iterator[KeptVersion]:
    """Yield the versions and delete markers of all keys with a prefix, page by page."""
    for page in client.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix):
        for item in page.get("Versions", ()):
            yield KeptVersion(item["Key"], item["VersionId"], item["Size"], item["IsLatest"])
        for item in page.get("DeleteMarkers", ()):
            yield KeptVersion(item["Key"], item["VersionId"], 0, item["IsLatest"], deleted=True)


def read_end(client: Any, bucket: str, kept: KeptVersion, length: int) -> bytes:
    """Return the last `length` bytes of a version, or all of a shorter one."""
    if kept.size == 0:
        return b""
    start = max(0, kept.size - length)
    answer = client.get_object(
        Bucket=bucket, Key=kept.key, VersionId=kept.version, Range=f"bytes={start}-{kept.size - 1}"
    )
    with answer["Body"] as body:
        return bytes(body.read(length))
