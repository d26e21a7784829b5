"""`perennial agent fetch`: bring inputs, or one published version, to the pod's disk and check every byte."""

import json
import logging
from pathlib import Path
from typing import Protocol

from pydantic import TypeAdapter, ValidationError

from perennial.agent.digest import content_digest, file_sha256
from perennial.agent.errors import AgentError
from perennial.agent.formats import check_contents, check_names
from perennial.agent.parallel import in_parallel
from perennial.agent.paths import replace_file, safe_path, safe_paths, shared_folder
from perennial.agent.progress import Progress
from perennial.agent.room import check_room
from perennial.agent.storage import ObjectInfo, ObjectStore, join_uri, naming, split_uri
from perennial.api.agent import FetchInputs, FetchModel, ModelFolder
from perennial.api.manifest import FileEntry, InputManifest, Manifest
from perennial.api.messages import Fetched, PulledInput
from perennial.api.pod import Input
from perennial.core.failures import DATA_INVALID, DIGEST_MISMATCH, MANIFEST_INVALID, OBJECT_NOT_FOUND

log = logging.getLogger(__name__)

MANIFEST = "manifest.json"
MANIFEST_LIMIT = 64 * 2**20
FILES_LISTED = 10_000
"""Files of an input that the record names one by one; above, its digest alone stands for them."""
FILE_THREADS = 12
RECORD = TypeAdapter(tuple[InputManifest, ...])


def fetch_inputs(config: FetchInputs, store: ObjectStore) -> Fetched:
    """Pull every input, write the parameters file and the record that `publish` reads.

    Raises:
        AgentError: as `core.failures` tells.
    """
    root = Path(config.root)
    hidden = root / ".perennial"
    with naming(str(root)):
        shared_folder(root / "output")
        hidden.mkdir(parents=True, exist_ok=True)
        replace_file(root / "params.json", json.dumps(config.parameters, indent=2, sort_keys=True).encode())
    pulled = tuple(_pull(item, store, root / "inputs" / item.name) for item in config.inputs)
    with naming(str(hidden)):
        replace_file(hidden / "inputs.json", RECORD.dump_json(tuple(record for record, _ in pulled), by_alias=True))
    return Fetched(inputs=tuple(summary for _, summary in pulled))


def _pull(item: Input, store: ObjectStore, folder: Path) -> tuple[InputManifest, PulledInput]:
    """Pull one input; return its record and its summary."""
    listed = list(store.list(item.uri))
    if not listed:
        raise AgentError(OBJECT_NOT_FOUND, f"there is nothing at {item.uri} (input {item.name})")
    with naming(item.uri):
        shared_folder(folder)
        for name in (found.relative.rstrip("/") for found in listed if found.relative.endswith("/")):
            # Written by clients that show folders, and by servers that keep empty ones.
            safe_path(folder, name, item.uri).mkdir(parents=True, exist_ok=True)
    objects = [found for found in listed if found.relative and not found.relative.endswith("/")]
    places = safe_paths(folder, (found.relative for found in objects), item.uri)
    bucket, _ = split_uri(item.uri)
    progress = Progress(f"input {item.name}", len(objects), sum(found.size for found in objects))

    def one(found: ObjectInfo) -> FileEntry:
        uri = f"s3://{bucket}/{found.key}"
        digest = store.download(uri, places[found.relative], found.size, found.etag, advance=progress.advance)
        progress.file_done()
        return FileEntry(path=found.relative, size=found.size, sha256=digest)

    files = sorted(in_parallel(one, objects, FILE_THREADS), key=lambda entry: entry.path)
    digest = content_digest(files)
    kept = tuple(files) if len(files) <= FILES_LISTED else ()
    record = InputManifest(name=item.name, uri=item.uri, digest=digest, files=kept)
    size = sum(entry.size for entry in files)
    log.info("input %s: %d files, %d bytes, %s", item.name, len(files), size, digest)
    return record, PulledInput(name=item.name, digest=digest, files=len(files), bytes=size)


def fetch_models(config: FetchModel, store: ObjectStore) -> Fetched:
    """Pull a version, and then each further one, under the same rules and into the same volume.

    Raises:
        AgentError: as `fetch_model`.
    """
    left = config.most_bytes
    first = ModelFolder(uri=config.uri, digest=config.digest, directory=config.directory)
    for part in (first, *(config.more or ())):
        manifest = fetch_model(config.model_copy(update={**dict(part), "most_bytes": left}), store)
        left = left - sum(entry.size for entry in manifest.files) if left is not None else None
    return Fetched()


def fetch_model(config: FetchModel, store: ObjectStore) -> Manifest:
    """Pull the files that a version's manifest lists, each checked by its sha256, and the manifest itself.

    Raises:
        AgentError: DigestMismatch when anything differs from what was published; or as `core.failures` tells.
    """
    manifest = read_manifest(store, config.uri, config.digest)
    check_names(config, (entry.path for entry in manifest.files))
    folder = Path(config.directory)
    places = safe_paths(folder, (entry.path for entry in manifest.files), config.uri)
    with naming(str(folder)):
        folder.mkdir(parents=True, exist_ok=True)
        there = in_parallel(lambda entry: _is_there(places[entry.path], entry), manifest.files, FILE_THREADS)
        wanted = [entry for entry, found in zip(manifest.files, there, strict=True) if not found]
    stored = {found.relative: found for found in store.list(join_uri(config.uri, ""))} if wanted else {}
    progress = Progress("model", len(wanted), sum(entry.size for entry in wanted))

    def one(entry: FileEntry) -> None:
        uri = join_uri(config.uri, entry.path)
        listed = stored.get(entry.path)
        if listed is None:
            raise AgentError(OBJECT_NOT_FOUND, f"{uri} is in the manifest, but not in the storage")
        if listed.size != entry.size:
            raise AgentError(DIGEST_MISMATCH, f"{uri} has {listed.size} bytes, {entry.size} were published")
        place = places[entry.path]
        store.download(uri, place, listed.size, listed.etag, expected=entry.sha256, advance=progress.advance)
        progress.file_done()

    with naming(str(folder)):
        check_room(config, folder, sum(entry.size for entry in manifest.files), sum(entry.size for entry in wanted))
    for _ in in_parallel(one, wanted, FILE_THREADS):
        pass
    check_contents(config, places)
    with naming(str(folder)):
        replace_file(folder / MANIFEST, manifest.model_dump_json(by_alias=True, exclude_none=True).encode())
    pulled = len(wanted)
    log.info("model %s: %d files pulled, %d already there", config.digest, pulled, len(manifest.files) - pulled)
    return manifest


class SmallObjects(Protocol):
    """What reading a manifest needs of storage."""

    def get_bytes(self, uri: str, limit: int) -> bytes:
        """Return a small object."""


def read_manifest(store: SmallObjects, uri: str, digest: str) -> Manifest:
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
    except AgentError as error:
        if error.failure is DATA_INVALID:
            raise AgentError(MANIFEST_INVALID, error.message) from error
        raise
    if manifest.digest != digest:
        raise AgentError(DIGEST_MISMATCH, f"{where} says {manifest.digest[:19]}…, {digest[:19]}… was asked for")
    if content_digest(manifest.files) != digest:
        raise AgentError(DIGEST_MISMATCH, f"the files that {where} lists do not give its own digest")
    paths = {entry.path for entry in manifest.files}
    if len(paths) < len(manifest.files) or MANIFEST in paths:
        raise AgentError(MANIFEST_INVALID, f"{where} lists a file twice, or itself")
    return manifest


def _is_there(path: Path, entry: FileEntry) -> bool:
    """Tell whether a file of an earlier try is whole."""
    return path.is_file() and path.stat().st_size == entry.size and file_sha256(path) == entry.sha256
