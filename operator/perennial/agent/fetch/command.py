"""`perennial agent fetch`: bring inputs, or one published version, to the pod's disk and check every byte."""

import json
import logging
from pathlib import Path

from perennial.agent.artifact.capacity import check_room
from perennial.agent.artifact.digest import content_digest, file_sha256
from perennial.agent.artifact.manifest import INPUT_RECORDS, MANIFEST, read_manifest
from perennial.agent.artifact.paths import replace_file, safe_path, safe_paths, shared_folder
from perennial.agent.fetch.formats import check_contents, check_names
from perennial.agent.storage.client import ObjectInfo, ObjectStore, join_uri, naming, split_uri
from perennial.agent.storage.errors import AgentError
from perennial.agent.storage.parallel import FILE_THREADS, in_parallel
from perennial.agent.storage.progress import Progress
from perennial.api.common.pod import Input
from perennial.api.contract.commands import FetchInputs, FetchModel, ModelFolder
from perennial.api.contract.manifest import FileEntry, InputManifest, Manifest
from perennial.api.contract.messages import Fetched, PulledInput
from perennial.core.failures import DIGEST_MISMATCH, OBJECT_NOT_FOUND

log = logging.getLogger(__name__)

FILES_LISTED = 10_000
"""Files of an input that the record names one by one; above, its digest alone stands for them."""


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
        replace_file(
            hidden / "inputs.json", INPUT_RECORDS.dump_json(tuple(record for record, _ in pulled), by_alias=True)
        )
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


def _is_there(path: Path, entry: FileEntry) -> bool:
    """Tell whether a file of an earlier try is whole."""
    return path.is_file() and path.stat().st_size == entry.size and file_sha256(path) == entry.sha256
