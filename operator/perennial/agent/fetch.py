"""`perennial agent fetch`: bring inputs, or one published version, to the pod's disk and check every byte."""

import json
import logging
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from perennial.agent.digest import content_digest, file_sha256
from perennial.agent.errors import AgentError, classify
from perennial.agent.paths import safe_path, shared_folder
from perennial.agent.progress import Progress
from perennial.agent.storage import ObjectInfo, ObjectStore, join_uri, split_uri
from perennial.api.agent import FetchInputs, FetchModel
from perennial.api.manifest import FileEntry, InputManifest, Manifest
from perennial.api.messages import Fetched, PulledInput
from perennial.api.pod import Input
from perennial.core.failures import DIGEST_MISMATCH, MANIFEST_INVALID, OBJECT_NOT_FOUND

log = logging.getLogger(__name__)

MANIFEST = "manifest.json"
MANIFEST_LIMIT = 64 * 2**20
FILES_LISTED = 10_000
"""Files of an input that the record names one by one; above, its digest alone stands for them."""
_FILE_THREADS = 12
RECORD = TypeAdapter(tuple[InputManifest, ...])

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def fetch_inputs(config: FetchInputs, store: ObjectStore) -> Fetched:
    """Pull every input, write the parameters file and the record that `publish` reads.

    Raises:
        AgentError: as `core.failures` tells.
    """
    root = Path(config.root)
    shared_folder(root / "output")
    hidden = root / ".perennial"
    shared_folder(hidden)
    (root / "params.json").write_text(json.dumps(config.parameters, indent=2, sort_keys=True))
    pulled = tuple(_pull(item, store, root / "inputs" / item.name) for item in config.inputs)
    (hidden / "inputs.json").write_bytes(RECORD.dump_json(tuple(record for record, _ in pulled), by_alias=True))
    return Fetched(inputs=tuple(summary for _, summary in pulled))


def _pull(item: Input, store: ObjectStore, folder: Path) -> tuple[InputManifest, PulledInput]:
    """Pull one input; return its record and its summary."""
    listed = list(store.list(item.uri))
    if not listed:
        raise AgentError(OBJECT_NOT_FOUND, f"there is nothing at {item.uri} (input {item.name})")
    shared_folder(folder)
    for marker in (found for found in listed if found.relative.endswith("/") or not found.relative):
        if marker.relative:
            safe_path(folder, marker.relative.rstrip("/"), item.uri).mkdir(parents=True, exist_ok=True)
    objects = [found for found in listed if found.relative and not found.relative.endswith("/")]
    places = {found.key: safe_path(folder, found.relative, item.uri) for found in objects}
    bucket, _ = split_uri(item.uri)
    progress = Progress(f"input {item.name}", len(objects), sum(found.size for found in objects))

    def one(found: ObjectInfo) -> FileEntry:
        digest = store.download(f"s3://{bucket}/{found.key}", places[found.key], found.size, found.etag)
        progress.add(found.size)
        return FileEntry(path=found.relative, size=found.size, sha256=digest)

    files = sorted(in_parallel(one, objects, item.uri), key=lambda entry: entry.path)
    digest = content_digest(files)
    kept = tuple(files) if len(files) <= FILES_LISTED else ()
    record = InputManifest(name=item.name, uri=item.uri, digest=digest, files=kept)
    size = sum(entry.size for entry in files)
    log.info("input %s: %d files, %d bytes, %s", item.name, len(files), size, digest)
    return record, PulledInput(name=item.name, digest=digest, files=len(files), bytes=size)


def fetch_model(config: FetchModel, store: ObjectStore) -> Fetched:
    """Pull the files that a version's manifest lists, each checked by its sha256, and the manifest itself.

    Raises:
        AgentError: DigestMismatch when anything differs from what was published; or as `core.failures` tells.
    """
    manifest = read_manifest(store, config.uri, config.digest)
    folder = Path(config.directory)
    folder.mkdir(parents=True, exist_ok=True)
    places = {entry.path: safe_path(folder, entry.path, config.uri) for entry in manifest.files}
    wanted = [entry for entry in manifest.files if not _is_there(places[entry.path], entry)]
    stored = {found.relative: found for found in store.list(join_uri(config.uri, ""))} if wanted else {}
    progress = Progress("model", len(wanted), sum(entry.size for entry in wanted))

    def one(entry: FileEntry) -> None:
        uri = join_uri(config.uri, entry.path)
        listed = stored.get(entry.path)
        if listed is None:
            raise AgentError(OBJECT_NOT_FOUND, f"{uri} is in the manifest, but not in the storage")
        if listed.size != entry.size:
            raise AgentError(DIGEST_MISMATCH, f"{uri} has {listed.size} bytes, its manifest says {entry.size}")
        found = store.download(uri, places[entry.path], listed.size, listed.etag)
        if found != entry.sha256:
            places[entry.path].unlink(missing_ok=True)
            raise AgentError(DIGEST_MISMATCH, f"{uri} has sha256 {found[:12]}…, its manifest says {entry.sha256[:12]}…")
        progress.add(entry.size)

    in_parallel(one, wanted, config.uri)
    (folder / MANIFEST).write_text(manifest.model_dump_json(by_alias=True, exclude_none=True))
    log.info(
        "model %s: %d files, %d already there", config.digest, len(manifest.files), len(manifest.files) - len(wanted)
    )
    return Fetched()


def read_manifest(store: ObjectStore, uri: str, digest: str) -> Manifest:
    """Return the manifest of a version, if it is the one that is meant and its list of files fits its digest.

    Raises:
        AgentError: ManifestInvalid, DigestMismatch, or as `core.failures` tells.
    """
    where = join_uri(uri, MANIFEST)
    try:
        manifest = Manifest.model_validate_json(store.get_bytes(where, MANIFEST_LIMIT))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise AgentError(MANIFEST_INVALID, f"{where} is no manifest: {place}: {first['msg']}"[:500]) from error
    if manifest.digest != digest:
        raise AgentError(DIGEST_MISMATCH, f"{where} says {manifest.digest[:19]}…, {digest[:19]}… was asked for")
    if content_digest(manifest.files) != digest:
        raise AgentError(DIGEST_MISMATCH, f"the files that {where} lists do not give its own digest")
    return manifest


def _is_there(path: Path, entry: FileEntry) -> bool:
    """Tell whether a file of an earlier try is whole."""
    return path.is_file() and path.stat().st_size == entry.size and file_sha256(path) == entry.sha256


def in_parallel(work: Callable[[_Item], _Result], items: Sequence[_Item] | Iterable[_Item], uri: str) -> list[_Result]:
    """Return the results of the work on all items, by several threads; the first error ends it.

    Raises:
        AgentError: whatever was raised, brought to the table.
    """
    with ThreadPoolExecutor(_FILE_THREADS, thread_name_prefix="file") as pool:
        futures = [pool.submit(work, item) for item in items]
        try:
            return [future.result() for future in futures]
        except Exception as error:
            pool.shutdown(cancel_futures=True)
            raise classify(error, uri) from error
