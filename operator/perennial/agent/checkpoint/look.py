"""Looks at a checkpoint folder without reading its files. All of it is untrusted."""

import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import TypeAdapter

from perennial.agent.artifact.paths import is_plain
from perennial.agent.storage.errors import AgentError
from perennial.api.contract.checkpoint import MOST_FILES
from perennial.core.failures import DATA_INVALID


@dataclass(frozen=True)
class Seen:
    """Size in bytes and time of modification in nanoseconds: equal while nobody writes to the file."""

    size: int
    modified: int


Look = Mapping[str, Seen]
"""Files by their path below the folder."""


@dataclass(frozen=True)
class Restored:
    """Files that were restored, as they looked right after that."""

    time: str | None = None
    """When the checkpoint was complete; None: none was restored."""
    own: dict[str, Seen] = field(default_factory=dict)
    """Those of this worker's checkpoint: while nothing else is there, there is nothing to keep."""
    shared: dict[str, Seen] = field(default_factory=dict)
    """Those of the first worker's: while they stay so, another worker does not mirror them as its own."""


RESTORED = TypeAdapter(Restored)


def look(folder: Path) -> Look:
    """Return the files of a folder and of the folders in it.

    Names that begin with a dot are left out: so code can write a file under such a name, and rename it when it is
    complete. So are links, which could lead out of the folder, and whatever else is no file.

    Raises:
        AgentError: DataInvalid for a file that cannot be read or has no plain name, and for too many files.
    """
    found: dict[str, Seen] = {}
    for name, seen in _files(folder, ""):
        found[name] = seen
        if len(found) > MOST_FILES:
            raise AgentError(DATA_INVALID, f"the checkpoint has more than {MOST_FILES} files: pack them into fewer")
    return found


def _files(folder: Path, prefix: str) -> Iterator[tuple[str, Seen]]:
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except FileNotFoundError:
        return
    except OSError as error:
        raise AgentError(
            DATA_INVALID, f"the agent cannot read the folder {prefix or 'checkpoint'!r}: chmod a+rx it"
        ) from error
    for entry in entries:
        name = f"{prefix}{entry.name}"
        if entry.name.startswith("."):
            continue
        try:
            status = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            continue  # removed or renamed since
        if stat.S_ISDIR(status.st_mode):
            yield from _files(Path(entry.path), f"{name}/")
        elif stat.S_ISREG(status.st_mode):
            if not is_plain(name):
                raise AgentError(DATA_INVALID, f"{name[:200]!r} in the checkpoint has no plain name: rename it")
            if not os.access(entry.path, os.R_OK, effective_ids=True):
                raise AgentError(DATA_INVALID, f"the agent cannot read {name!r} in the checkpoint: chmod a+r it")
            yield name, Seen(status.st_size, status.st_mtime_ns)
