"""Validates paths from storage or user code before they are written to disk or published."""

import os
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from perennial.agent.storage.errors import AgentError
from perennial.core.failures import UNSAFE_PATH

_LONGEST_PART = 255
_LONGEST_NAME = 1024
"""Maximum length of an S3 key, in bytes."""
_FORBIDDEN = frozenset({"", ".", ".."})
_DELETE = "\x7f"


def is_plain(relative: str) -> bool:
    """Whether a name is a relative path that every system reads the same way."""
    try:
        length = len(relative.encode())
    except UnicodeEncodeError:
        return False
    return length <= _LONGEST_NAME and all(_plain_part(part) for part in relative.split("/"))


def safe_paths(root: Path, relatives: Iterable[str], uri: str) -> dict[str, Path]:
    """Map each object's relative name to its path under a folder.

    Raises:
        AgentError: UnsafePath, if a name would leave the folder, is not a plain relative path, passes a link, or is
            both a file and the folder of another.
    """
    places = {relative: safe_path(root, relative, uri) for relative in relatives}
    for relative in places:
        for parent in PurePosixPath(relative).parents:
            if str(parent) in places:
                raise AgentError(
                    UNSAFE_PATH, f"{uri} contains {str(parent)[:200]!r} both as an object and as the folder of another"
                )
    return places


def safe_path(root: Path, relative: str, uri: str) -> Path:
    """Return the path of one object under a folder.

    Raises:
        AgentError: UnsafePath, if the name would leave the folder, is not a plain relative path, or passes a link.
    """
    if not is_plain(relative):
        raise AgentError(UNSAFE_PATH, f"{uri} contains an object with an unsafe name: {relative[:200]!r}")
    path = root
    for part in relative.split("/"):
        path = path / part
        if path.is_symlink():
            raise AgentError(UNSAFE_PATH, f"{relative[:200]!r} of {uri} would be written through a link in {root}")
    return path


def _plain_part(part: str) -> bool:
    drive = len(part) > 1 and part[1] == ":" and part[0].isascii() and part[0].isalpha()
    return (
        part not in _FORBIDDEN
        and len(part.encode()) <= _LONGEST_PART
        and not any(character < " " or character in ("\\", _DELETE) for character in part)
        and not (drive and len(part) == len("C:"))
    )


def shared_folder(path: Path) -> None:
    """Create a folder writable by the pod's other containers, which share its group but not its user."""
    path.mkdir(parents=True, exist_ok=True)
    try:
        path.chmod(0o2777)
    except PermissionError:
        # Created by the kubelet or an earlier container, with the right group already.
        return


def replace_file(path: Path, data: bytes) -> None:
    """Write a small file atomically: a reader sees all of it or none."""
    part = path.with_name(f".{path.name}.part")
    part.write_bytes(data)
    os.replace(part, path)  # noqa: PTH105 - names the guarantee
