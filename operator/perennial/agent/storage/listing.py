"""Digest of a listing, by which changes are found without downloads."""

import hashlib
from collections.abc import Iterable

from perennial.agent.storage.client import ObjectInfo


class ListingDigest:
    """Digest over the URIs of inputs and the names, sizes and ETags of their objects.

    ETags stand for content: with most storages, a file that is written again with the same bytes keeps its ETag.
    `fetch` reports the same digest of what it has pulled.
    """

    def __init__(self) -> None:
        """Start with no input."""
        self._digest = hashlib.sha256()

    def add(self, uri: str, objects: Iterable[ObjectInfo]) -> None:
        """Add the listing of the next input."""
        self._digest.update(f"{uri}\0".encode())
        for found in objects:
            self._digest.update(f"{found.relative}\0{found.size}\0{found.etag}\0".encode())

    def __str__(self) -> str:
        """Return `sha256:` and 64 hexadecimal digits."""
        return f"sha256:{self._digest.hexdigest()}"
