"""Restores a checkpoint before the code of a repeated attempt starts."""

import logging
import shutil
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from pydantic import ValidationError

from perennial.agent.artifact.paths import replace_file, safe_paths, shared_folder
from perennial.agent.checkpoint.look import RESTORED, Restored, look
from perennial.agent.checkpoint.place import FOLDER, MANIFEST, MANIFEST_LIMIT, RECORD, object_uri, worker_uri
from perennial.agent.storage.client import ObjectStore, join_uri, naming
from perennial.agent.storage.errors import AgentError
from perennial.agent.storage.parallel import FILE_THREADS, in_parallel
from perennial.agent.storage.progress import Progress
from perennial.api.contract.checkpoint import CheckpointManifest, CheckpointPlace
from perennial.api.contract.manifest import FileEntry
from perennial.api.contract.messages import LINE_LENGTH, RestoredCheckpoint
from perennial.core.failures import DATA_INVALID, DIGEST_MISMATCH, OBJECT_NOT_FOUND, UNSAFE_PATH

log = logging.getLogger(__name__)

_DAMAGED = frozenset({DATA_INVALID, DIGEST_MISMATCH, OBJECT_NOT_FOUND, UNSAFE_PATH})
"""What makes a checkpoint useless. Training from the beginning costs time, waiting for it would cost all."""
_MOST_ATTEMPTS = 1000

Found = Mapping[str, tuple[FileEntry, str]]
"""Files by path: the entry, and the folder of the worker that has written it."""


def restore(place: CheckpointPlace, root: Path, worker: int, store: ObjectStore) -> RestoredCheckpoint | None:
    """Put the newest checkpoint of a run into `<root>/checkpoint`; None if there is none.

    Every worker gets the files of the first one, and its own, which win: in data-parallel training only the first
    worker writes, and all read. Both are of the newest attempt in which the first worker has written one.

    Raises:
        AgentError: the storage cannot be read. A damaged checkpoint is no error: the code starts from the beginning.
    """
    folder = root / FOLDER
    with naming(str(folder)):
        shared_folder(folder)
        (root / RECORD).parent.mkdir(exist_ok=True)
    newest = _newest(place, store)
    if newest is None:
        log.info("no checkpoint of %s: the code starts from the beginning", place.run)
        return None
    first, attempt = newest
    told = RestoredCheckpoint(attempt=attempt, time=first.time, files=0, bytes=0)
    try:
        found = _files(place, attempt, worker, first, store)
        _download(found, folder, store)
    except AgentError as error:
        if error.failure not in _DAMAGED:
            raise
        log.warning("the checkpoint of attempt %d is damaged, the code starts from the beginning: %s", attempt, error)
        with naming(str(folder)):
            _empty(folder)
        return told.model_copy(update={"problem": error.message[:LINE_LENGTH]})
    with naming(str(folder)):
        replace_file(
            root / RECORD, RESTORED.dump_json(_restored(first.time, found, worker_uri(place, attempt, worker), folder))
        )
    size = sum(entry.size for entry, _ in found.values())
    log.info("restored the checkpoint of attempt %d from %s: %d files, %d bytes", attempt, first.time, len(found), size)
    return told.model_copy(update={"files": len(found), "bytes": size})


def _newest(place: CheckpointPlace, store: ObjectStore) -> tuple[CheckpointManifest, int] | None:
    """Return the first worker's newest checkpoint, and its attempt. An unreadable one counts as none."""
    for attempt in range(place.attempt, max(-1, place.attempt - _MOST_ATTEMPTS), -1):
        manifest = _manifest(worker_uri(place, attempt, 0), store)
        if manifest is not None:
            return manifest, attempt
    return None


def _manifest(folder: str, store: ObjectStore) -> CheckpointManifest | None:
    uri = join_uri(folder, MANIFEST)
    try:
        found = store.get_version(uri, MANIFEST_LIMIT)
        return CheckpointManifest.model_validate_json(found.data) if found is not None else None
    except (AgentError, ValidationError) as error:
        if isinstance(error, AgentError) and error.failure not in _DAMAGED:
            raise
        log.warning("%s cannot be read and is passed over: %s", uri, str(error).partition("\n")[0])
        return None


def _files(
    place: CheckpointPlace, attempt: int, worker: int, first: CheckpointManifest, store: ObjectStore
) -> dict[str, tuple[FileEntry, str]]:
    shared, own = worker_uri(place, attempt, 0), worker_uri(place, attempt, worker)
    found = {entry.path: (entry, shared) for entry in first.files}
    manifest = _manifest(own, store) if worker else None
    return found | {entry.path: (entry, own) for entry in (manifest.files if manifest is not None else ())}


def _download(found: Found, folder: Path, store: ObjectStore) -> None:
    places = safe_paths(folder, found, f"checkpoint in {folder}")
    progress = Progress("checkpoint", len(found), sum(entry.size for entry, _ in found.values()))
    stored = {source: _etags(source, store) for source in {source for _, source in found.values()}}

    def one(name: str) -> None:
        entry, source = found[name]
        uri = object_uri(source, entry.sha256)
        etag = stored[source].get(entry.sha256)
        if etag is None:
            raise AgentError(OBJECT_NOT_FOUND, f"{uri} is listed in the checkpoint, but does not exist")
        for parent in [*PurePosixPath(name).parents][-2::-1]:
            shared_folder(folder / parent)
        store.download(uri, places[name], entry.size, etag, expected=entry.sha256, advance=progress.advance)
        progress.file_done()

    for _ in in_parallel(one, found, FILE_THREADS):
        pass
    for name in found:
        # The code's user is another one of the same group, and may want to write over it.
        places[name].chmod(0o664)


def _etags(source: str, store: ObjectStore) -> dict[str, str]:
    return {item.relative: item.etag for item in store.list(object_uri(source, ""))}


def _restored(time: str, found: Found, own: str, folder: Path) -> Restored:
    """Tell which files came from a worker's own folder, and which from the first worker's."""
    seen = {name: item for name, item in look(folder).items() if name in found}
    return Restored(
        time=time,
        own={name: item for name, item in seen.items() if found[name][1] == own},
        shared={name: item for name, item in seen.items() if found[name][1] != own},
    )


def _empty(folder: Path) -> None:
    for entry in folder.iterdir():
        shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
