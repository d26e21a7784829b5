"""Downloads of small objects through presigned URLs, at less than half of botocore's CPU time.

A botocore request takes over a millisecond of CPU time, several times that of transferring a small object. Here
botocore only signs the URL, and urllib3 sends the request. On anything but success the caller falls back to botocore,
which retries and classifies errors.
"""

from typing import Any
from urllib.request import getproxies

import urllib3

from perennial.agent.storage.transfer import Source

MAX_BYTES_PRESIGNED = 2**20
_SECONDS = 600
_TIMEOUT = urllib3.Timeout(connect=5, read=15)
_OK = 200


class PresignedReader:
    """Downloads small objects through presigned URLs. Thread-safe."""

    def __init__(self, client: Any, authority: str | None, connections: int) -> None:
        """Sign with a boto3 S3 client; trust the CA certificates in a file, or the system's if None."""
        self._client = client
        # Proxies are supported by botocore's own pool only.
        self._pool = (
            None
            if getproxies()
            else urllib3.PoolManager(
                maxsize=connections, cert_reqs="CERT_REQUIRED", ca_certs=authority, timeout=_TIMEOUT, retries=False
            )
        )

    def read(self, source: Source) -> bytes | None:
        """Return the content of a small object, or None if the caller must use botocore."""
        if self._pool is None or not source.etag or not 0 < source.size <= MAX_BYTES_PRESIGNED:
            return None
        wanted = {"Bucket": source.bucket, "Key": source.key}
        try:
            url = self._client.generate_presigned_url("get_object", Params=wanted, ExpiresIn=_SECONDS)
            answer = self._pool.request("GET", url, headers={"If-Match": source.etag, "Accept-Encoding": "identity"})
        except Exception:
            # botocore will hit the same error and report it.
            return None
        data = bytes(answer.data)
        return data if answer.status == _OK and len(data) == source.size else None
