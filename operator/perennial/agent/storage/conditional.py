"""Writes that succeed only if the object is still what the writer has read."""

import base64
import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError

_NOT_FOUND = 404
_NOT_IMPLEMENTED = 501
_CHANGED = frozenset({409, 412})
"""Status of a conditional write that lost against another one."""


@dataclass(frozen=True)
class Retention:
    """Object Lock of one written version.

    Attributes:
        mode: GOVERNANCE or COMPLIANCE.
        until: when it ends.
    """

    mode: str
    until: datetime


def put_if(client: Any, content: dict[str, Any], etag: str | None, *, fall_back: bool) -> bool:
    """Write an object if it still has this ETag, or with None if there still is none.

    Args:
        client: a boto3 S3 client.
        content: parameters of `put_object`.
        etag: the ETag that was read.
        fall_back: whether to write without a condition if the storage answers that it knows none.

    Returns:
        False: another writer has changed the object; nothing was written.

    Raises:
        ClientError: any other answer.
    """
    condition = {"IfNoneMatch": "*"} if etag is None else {"IfMatch": etag}
    try:
        client.put_object(**content, **condition)
    except ClientError as error:
        status = status_of(error)
        if status in _CHANGED or (status == _NOT_FOUND and _code(error) == "NoSuchKey"):
            return False
        if status != _NOT_IMPLEMENTED or not fall_back:
            raise
        client.put_object(**content)
    return True


def locked(data: bytes, retention: Retention | None) -> dict[str, Any]:
    """Return the parameters of a write that Object Lock needs: a checksum always, as buckets may lock by default."""
    checksum = base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()
    if retention is None:
        return {"ContentMD5": checksum}
    return {
        "ContentMD5": checksum,
        "ObjectLockMode": retention.mode,
        "ObjectLockRetainUntilDate": retention.until,
    }


def refuses_it(error: ClientError, *, locks: bool) -> bool:
    """Whether the storage or the bucket cannot do what was asked: a condition or, if `locks`, Object Lock."""
    unknown = status_of(error) == _NOT_IMPLEMENTED
    return unknown or (locks and _code(error) in {"InvalidRequest", "InvalidArgument"})


def status_of(error: ClientError) -> int:
    """Return the HTTP status of an error response; 0 if there is none."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))
