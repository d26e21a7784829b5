"""Reads files and metrics of the training output. All of it is untrusted."""

import json
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from stat import S_ISDIR, S_ISFIFO, S_ISREG, S_ISSOCK
from threading import Event, Thread
from typing import Any

from perennial.agent.artifact.manifest import MANIFEST, SIGNATURE
from perennial.agent.artifact.paths import is_plain
from perennial.agent.storage.errors import AgentError
from perennial.api.contract.manifest import LONGEST_SKIPPED, SkippedFile
from perennial.core.failures import DATA_INVALID, UNSAFE_PATH

log = logging.getLogger(__name__)

METRICS_FILE = "metrics.json"
MAX_FILES = 100_000
WATCH_SECONDS = 60.0
_METRICS_LIMIT = 2**20
_MOST_METRICS = 64
_LONGEST_NAME = 63
_LONGEST_VALUE = 32
_OURS = "its name is reserved for the signature of the version"


@dataclass(frozen=True)
class Output:
    """What an output folder contains."""

    files: tuple[str, ...]
    """Relative paths of the files to publish, sorted. Symbolic links are followed."""
    skipped: tuple[SkippedFile, ...] = ()
    """Entries that are not files, or that have no publishable name."""
    unreadable: tuple[AgentError, ...] = ()
    """Why some files cannot be published. Without them, the version would be incomplete."""


def scan(output: Path) -> Output:
    """Return what a folder contains, without reading the files.

    Raises:
        AgentError: DataInvalid for too many files.
    """
    files: list[str] = []
    skipped: list[SkippedFile] = []
    unreadable: list[AgentError] = []
    for name, problem in _walk(output, "", os.path.realpath(output), frozenset()):
        if isinstance(problem, AgentError):
            unreadable.append(problem)
        elif problem is not None:
            skipped.append(SkippedFile(path=_printable(name), reason=problem))
        else:
            files.append(name)
        if len(files) > MAX_FILES:
            raise AgentError(DATA_INVALID, f"the output has more than {MAX_FILES} files: pack them into fewer")
    return Output(tuple(sorted(files)), tuple(skipped), tuple(unreadable))


def output_files(output: Path) -> Output:
    """Return the files to publish; entries that are not files are left out and logged.

    Raises:
        AgentError: UnsafePath for a link that leaves the folder; DataInvalid for unreadable files and folders, and for
            too many files.
    """
    found = scan(output)
    if found.unreadable:
        raise found.unreadable[0]
    for entry in found.skipped:
        log.warning("leaving out %r: %s", entry.path, entry.reason)
    return found


def without_signature(found: Output) -> Output:
    """Leave out a signature that the code has written, where the publisher writes its own."""
    if SIGNATURE not in found.files:
        return found
    log.warning("leaving out %r: %s", SIGNATURE, _OURS)
    files = tuple(name for name in found.files if name != SIGNATURE)
    return replace(found, files=files, skipped=(*found.skipped, SkippedFile(path=SIGNATURE, reason=_OURS)))


Problem = AgentError | str | None
"""Why an entry cannot be published, or why it is left out; None for a file."""


def _walk(folder: Path, prefix: str, inside: str, above: frozenset[str]) -> Iterator[tuple[str, Problem]]:
    """Yield all files and problematic entries below a folder."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        why = "chmod a+rx it" if isinstance(error, PermissionError) else error.strerror
        yield prefix, AgentError(DATA_INVALID, f"the agent cannot read the folder {prefix or 'output'!r}: {why}")
        return
    here = above | {os.path.realpath(folder)}
    for entry in entries:
        name = f"{prefix}{entry.name}"
        problem = _problem(entry, name, inside, here)
        if problem is None and _mode(entry, S_ISDIR):
            yield from _walk(Path(entry.path), f"{name}/", inside, here)
        else:
            yield name, problem


def _problem(entry: os.DirEntry[str], name: str, inside: str, above: frozenset[str]) -> Problem:
    if not is_plain(name):
        return "its name is not a plain path"
    if name == MANIFEST:
        return "its name is reserved for the manifest of the version"
    return (_link_problem(entry, name, inside, above) if entry.is_symlink() else None) or _file_problem(entry, name)


def _link_problem(entry: os.DirEntry[str], name: str, inside: str, above: frozenset[str]) -> Problem:
    target = os.path.realpath(entry.path)
    if not Path(target).is_relative_to(inside):
        return AgentError(UNSAFE_PATH, f"{name!r} in the output links to a file outside of it: copy the file")
    if target in above:
        return "a link to one of its parent folders"
    return None if _mode(entry, lambda _: True) else "a broken link"


def _file_problem(entry: os.DirEntry[str], name: str) -> Problem:
    if _mode(entry, S_ISDIR):
        return None
    if not _mode(entry, S_ISREG):
        return f"a {_kind(entry)}, not a file"
    if not os.access(entry.path, os.R_OK, effective_ids=True):
        return AgentError(DATA_INVALID, f"the agent cannot read {name!r} in the output: chmod a+r it")
    return None


def _mode(entry: os.DirEntry[str], test: Callable[[int], bool]) -> bool:
    """Test the mode of an entry, following links; False if it cannot be read, as for a link to itself."""
    try:
        return test(entry.stat().st_mode)
    except OSError:
        return False


def _kind(entry: os.DirEntry[str]) -> str:
    return "named pipe" if _mode(entry, S_ISFIFO) else "socket" if _mode(entry, S_ISSOCK) else "device"


def _printable(name: str) -> str:
    return name.encode("utf-8", "backslashreplace").decode()[:LONGEST_SKIPPED]


class OutputWatch:
    """Logs during training which files could not be published at its end, while the code can still be corrected."""

    def __init__(self, output: Path) -> None:
        """Watch a folder that may not exist yet."""
        self._output = output
        self._seen: frozenset[str] = frozenset()
        self._told: frozenset[str] = frozenset()
        self._standing: tuple[str, ...] = ()

    def standing(self) -> tuple[str, ...]:
        """Return the problems that the last two checks found, sorted."""
        return self._standing

    def check(self) -> tuple[str, ...]:
        """Log and return problems that the previous check found too, each of them once.

        A file that is being written may be unreadable for a moment.
        """
        try:
            found = frozenset(str(problem) for problem in scan(self._output).unreadable)
        except AgentError as error:
            found = frozenset({str(error)})
        self._standing = tuple(sorted(found & self._seen))
        news = tuple(problem for problem in self._standing if problem not in self._told)
        self._seen, self._told = found, self._told | frozenset(news)
        for problem in news:
            log.warning("the output cannot be published as it is: %s", problem)
        return news


@contextmanager
def output_watch(output: Path, interval: float = WATCH_SECONDS) -> Iterator[OutputWatch]:
    """Check a folder at an interval, in seconds, until the context ends."""
    watch, ended = OutputWatch(output), Event()

    def work() -> None:
        while not ended.wait(interval):
            watch.check()

    thread = Thread(target=work, name="output-watch", daemon=True)
    thread.start()
    try:
        yield watch
    finally:
        ended.set()


def read_metrics(path: Path, first: Iterable[str] = ()) -> dict[str, str]:
    """Return the metrics written by the training code, a JSON object of numbers and strings, as strings.

    Those named by `first` come first, since the last ones are dropped where there is little space. Nested objects are
    flattened with dots. An invalid or too large file means no metrics, but does not fail the
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
    ordered = {**{name: fit[name] for name in first if name in fit}, **fit}
    kept = dict(list(ordered.items())[:_MOST_METRICS])
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
