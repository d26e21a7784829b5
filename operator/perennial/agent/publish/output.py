"""Reads files and metrics of the training output. All of it is untrusted."""

import json
import logging
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from perennial.agent.artifact.paths import is_plain
from perennial.agent.storage.errors import AgentError
from perennial.core.failures import DATA_INVALID, UNSAFE_PATH

log = logging.getLogger(__name__)

METRICS_FILE = "metrics.json"
MAX_FILES = 100_000
_METRICS_LIMIT = 2**20
_MOST_METRICS = 64
_LONGEST_NAME = 63
_LONGEST_VALUE = 32


def output_files(output: Path) -> list[str]:
    """Return the relative paths of all files under a folder, sorted. Symbolic links are followed.

    Raises:
        AgentError: UnsafePath for a link that leaves the folder or a name that is not a plain path; DataInvalid for
            special files, unreadable folders and too many files.
    """
    found: list[str] = []
    for path in _walk(output, "", output.resolve(), frozenset()):
        if not is_plain(path):
            raise AgentError(UNSAFE_PATH, f"the output contains a file with an unsafe name: {path[:200]!r}")
        found.append(path)
        if len(found) > MAX_FILES:
            raise AgentError(DATA_INVALID, f"the output has more than {MAX_FILES} files: pack them into fewer")
    return sorted(found)


def _walk(folder: Path, prefix: str, inside: Path, above: frozenset[Path]) -> Iterator[str]:
    here = folder.resolve()
    if here in above:
        raise AgentError(UNSAFE_PATH, f"{prefix!r} in the output is a link to one of its parent folders")
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except PermissionError as error:
        raise AgentError(
            DATA_INVALID, f"the agent cannot read the folder {prefix or 'output'!r}: chmod a+rx it"
        ) from error
    for entry in entries:
        name = f"{prefix}{entry.name}"
        if entry.is_symlink() and not Path(entry.path).resolve().is_relative_to(inside):
            raise AgentError(UNSAFE_PATH, f"{name!r} in the output links to a file outside of it: copy the file")
        if entry.is_dir():
            yield from _walk(Path(entry.path), f"{name}/", inside, above | {here})
        elif entry.is_file():
            yield name
        else:
            raise AgentError(DATA_INVALID, f"{name!r} in the output is a {_kind(entry)}, not a file: remove it")


def _kind(entry: os.DirEntry[str]) -> str:
    if entry.is_symlink():
        return "broken link"
    mode = entry.stat(follow_symlinks=False).st_mode
    return "named pipe" if stat.S_ISFIFO(mode) else "socket" if stat.S_ISSOCK(mode) else "device"


def read_metrics(path: Path) -> dict[str, str]:
    """Return the metrics written by the training code, a JSON object of numbers and strings, as strings.

    Nested objects are flattened with dots. An invalid or too large file means no metrics, but does not fail the
    command: the model is published without them. Everything left out is logged.
    """
    try:
        if path.stat().st_size > _METRICS_LIMIT:
            raise ValueError(f"it is larger than {_METRICS_LIMIT} bytes")
        document = json.loads(path.read_bytes())
        if not isinstance(document, dict):
            raise ValueError("it is not a JSON object")  # noqa: TRY004 - reported like the other errors
        flat = list(_flatten(document, ""))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        log.warning("ignoring %s: %s", METRICS_FILE, error)
        return {}
    fit = {name: text for name, text in flat if _fits(name, text)}
    kept = dict(list(fit.items())[:_MOST_METRICS])
    if len(kept) < len(flat):
        log.warning(
            "ignoring %d entries of %s: at most %d, with names of at most %d and values of at most %d characters",
            len(flat) - len(kept),
            METRICS_FILE,
            _MOST_METRICS,
            _LONGEST_NAME,
            _LONGEST_VALUE,
        )
    return kept


def metrics_of(document: Mapping[str, Any]) -> dict[str, str]:
    """Return the entries of a document that fit in a status, as strings."""
    return {name: text for name, text in _flatten(document, "") if _fits(name, text)}


def _flatten(values: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{name}.")
        elif isinstance(value, str):
            yield name, value
        elif isinstance(value, bool | int | float):
            yield name, json.dumps(value)


def _fits(name: str, text: str) -> bool:
    """Whether an entry fits in a status: short and printable. Values are never truncated."""
    plain = all(character.isprintable() for character in name + text)
    return plain and 0 < len(name) <= _LONGEST_NAME and len(text) <= _LONGEST_VALUE
