"""Digests of files and of whole versions."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from perennial.api.contract.manifest import FileEntry

_CHUNK = 1 << 20


def content_digest(files: Iterable[FileEntry]) -> str:
    """Return the digest of a set of files: `sha256:` over one line `<sha256> <size> <path>` each, sorted by path.

    It depends on content and names only, so two runs with the same output have the same digest.
    """
    lines = sorted(((entry.path.encode(), entry) for entry in files), key=lambda line: line[0])
    total = hashlib.sha256()
    for path, entry in lines:
        total.update(f"{entry.sha256} {entry.size} ".encode() + path + b"\n")
    return f"sha256:{total.hexdigest()}"


def file_sha256(path: Path) -> str:
    """Return the sha256 of a file in hex. Memory stays bounded: it is read in chunks of 1 MiB."""
    with path.open("rb", buffering=0) as stream:
        total = hashlib.sha256()
        buffer = bytearray(_CHUNK)
        view = memoryview(buffer)
        while count := stream.readinto(buffer):
            total.update(view[:count])
    return total.hexdigest()


def short(digest: str) -> str:
    """Return the first twelve hex digits: the name of a version's folder."""
    return digest.removeprefix("sha256:")[:12]
