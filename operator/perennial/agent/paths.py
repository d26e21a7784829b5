"""Names that come from storage, made safe before they touch the disk."""

from pathlib import Path

from perennial.agent.errors import AgentError
from perennial.core.failures import UNSAFE_PATH

_LONGEST_PART = 255
_FORBIDDEN = frozenset({"", ".", ".."})


def safe_path(root: Path, relative: str, uri: str) -> Path:
    """Return the place of an object's relative name under a folder.

    Raises:
        AgentError: UnsafePath, when the name would leave the folder, is no plain relative path, or passes a link.
    """
    parts = relative.split("/")
    if any(not _plain(part) for part in parts):
        raise AgentError(UNSAFE_PATH, f"{uri} holds an object whose name is no plain path: {relative[:200]!r}")
    path = root
    for part in parts:
        path = path / part
        if path.is_symlink():
            raise AgentError(UNSAFE_PATH, f"{relative[:200]!r} of {uri} would be written through a link in {root}")
    return path


def _plain(part: str) -> bool:
    return (
        part not in _FORBIDDEN
        and len(part.encode(errors="replace")) <= _LONGEST_PART
        and not any(character in "\\\0" or character < " " for character in part)
        and not (len(part) > 1 and part[1] == ":" and part[0].isalpha() and len(part) == len("C:"))
    )


def shared_folder(path: Path) -> None:
    """Make a folder that containers of other users in the pod may write to: they share only the pod's group."""
    path.mkdir(parents=True, exist_ok=True)
    try:
        path.chmod(0o2777)
    except PermissionError:
        # Made by the kubelet or an earlier container with the right group already.
        return
