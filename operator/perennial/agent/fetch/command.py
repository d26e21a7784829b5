"""`perennial agent fetch`: downloads inputs or a published version and verifies every file."""

import json
import logging
import os
import shutil
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from perennial.agent.artifact.digest import content_digest, file_sha256
from perennial.agent.artifact.manifest import INPUT_RECORDS, MANIFEST, MANIFEST_LIMIT, SIGNATURE, read_manifest
from perennial.agent.artifact.paths import replace_file, safe_path, safe_paths, shared_folder
from perennial.agent.checkpoint.restore import restore
from perennial.agent.checkpoint.sweep import remove_outdated
from perennial.agent.fetch.formats import check_contents, check_names
from perennial.agent.storage.client import ObjectInfo, ObjectStore, join_uri, naming, split_uri
from perennial.agent.storage.errors import AgentError
from perennial.agent.storage.listing import ListingDigest
from perennial.agent.storage.parallel import FILE_THREADS, in_parallel
from perennial.agent.storage.progress import Progress
from perennial.api.common.pod import Input
from perennial.api.contract.checkpoint import CheckpointPlace
from perennial.api.contract.commands import WORKER_VARIABLE, FetchInputs, FetchModel, ModelFolder
from perennial.api.contract.manifest import FileEntry, InputManifest, Manifest
from perennial.api.contract.messages import Fetched, PulledInput, RestoredCheckpoint
from perennial.api.modeldeployment.models import Verify
from perennial.core.failures import (
    BUCKET_NOT_FOUND,
    DATA_INVALID,
    DIGEST_MISMATCH,
    OBJECT_NOT_FOUND,
    OUT_OF_SPACE,
    SIGNATURE_INVALID,
    SIGNATURE_MISSING,
)

log = logging.getLogger(__name__)

FILES_LISTED = 10_000
"""Maximum number of files listed in an input's record; beyond it, only the digest is recorded."""


def fetch_inputs(config: FetchInputs, store: ObjectStore) -> Fetched:
    """Download every input; write the parameters file and the record that `publish` reads.

    Raises:
        AgentError: as in `core.failures`.
    """
    root = Path(config.root)
    hidden = root / ".perennial"
    with naming(str(root)):
        shared_folder(root / "output")
        hidden.mkdir(parents=True, exist_ok=True)
        replace_file(root / "params.json", json.dumps(config.parameters, indent=2, sort_keys=True).encode())
    if config.output is not None:
        _require_bucket(config.output, store)
    listing = ListingDigest()
    pulled = tuple(_fetch_input(item, store, root / "inputs" / item.name, listing) for item in config.inputs)
    with naming(str(hidden)):
        replace_file(
            hidden / "inputs.json", INPUT_RECORDS.dump_json(tuple(record for record, _ in pulled), by_alias=True)
        )
    summaries = tuple(summary for _, summary in pulled)
    return Fetched(
        checkpoint=_checkpoint(config.checkpoint, root, store) if config.checkpoint is not None else None,
        listing=str(listing),
        files=sum(item.files for item in summaries),
        bytes=sum(item.bytes for item in summaries),
        inputs=summaries,
    )


def _checkpoint(place: CheckpointPlace, root: Path, store: ObjectStore) -> RestoredCheckpoint | None:
    """Restore the run's newest checkpoint; the first worker also deletes what no attempt resumes from any more."""
    worker = int(os.environ.get(WORKER_VARIABLE, "0"))
    restored = restore(place, root, worker, store)
    if worker == 0:
        remove_outdated(place, restored.attempt if restored is not None and not restored.problem else None, store)
    return restored


def _require_bucket(output: str, store: ObjectStore) -> None:
    """Refuse an output in a bucket that does not exist: hours of training would be lost at their end.

    Any other failure is left to publishing: listing may be denied where writing is allowed.
    """
    try:
        next(store.list(output), None)
    except AgentError as error:
        if error.failure is BUCKET_NOT_FOUND:
            raise AgentError(BUCKET_NOT_FOUND, f"spec.output.uri {output}: {error.message}") from error
        log.warning("cannot list %s before the training: %s", output, error.message)


def _fetch_input(
    item: Input, store: ObjectStore, folder: Path, listing: ListingDigest
) -> tuple[InputManifest, PulledInput]:
    """Download one input; return its record and its summary."""
    listed = list(store.list(item.uri))
    listing.add(item.uri, listed)
    if not listed:
        raise AgentError(OBJECT_NOT_FOUND, f"no objects found at {item.uri} (input {item.name})")
    with naming(item.uri):
        shared_folder(folder)
        markers = folder_markers(listed)
        for name in markers:
            safe_path(folder, name.rstrip("/"), item.uri).mkdir(parents=True, exist_ok=True)
    objects = [found for found in listed if found.relative and found.relative not in markers]
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


def folder_markers(listed: Sequence[ObjectInfo]) -> frozenset[str]:
    """Return the names of objects that represent folders, as some clients and servers write them.

    They end with a slash, or are empty and at the same time the folder of another object.
    """
    parents = {str(parent) for found in listed for parent in PurePosixPath(found.relative).parents}
    return frozenset(
        found.relative
        for found in listed
        if found.relative.rstrip("/")
        and (found.relative.endswith("/") or (found.size == 0 and found.relative in parents))
    )


def fetch_models(config: FetchModel, store: ObjectStore) -> Fetched:
    """Download a version and any further ones, under the same rules and into the same volume.

    Raises:
        AgentError: as `fetch_model`.
    """
    left = config.most_bytes
    first = ModelFolder(uri=config.uri, digest=config.digest, directory=config.directory)
    for folder in (first, *(config.more or ())):
        manifest = fetch_model(config.model_copy(update={**dict(folder), "most_bytes": left}), store)
        left = left - sum(entry.size for entry in manifest.files) if left is not None else None
    return Fetched()


def fetch_model(config: FetchModel, store: ObjectStore) -> Manifest:
    """Download the files listed in a version's manifest, verify their sha256, and write the manifest.

    Raises:
        AgentError: DigestMismatch if a file differs from the published one; SignatureMissing or SignatureInvalid if
            the files must be signed and are not; otherwise as in `core.failures`.
    """
    manifest = read_manifest(store, config.uri, config.digest)
    if config.verify is not None:
        # Before the download, which checks every file against the sha256 that was signed.
        _verify(config.uri, config.verify, manifest, store)
    check_names(config, (entry.path for entry in manifest.files))
    folder = Path(config.directory)
    places = safe_paths(folder, (entry.path for entry in manifest.files), config.uri)
    with naming(str(folder)):
        folder.mkdir(parents=True, exist_ok=True)
        present = in_parallel(lambda entry: _is_present(places[entry.path], entry), manifest.files, FILE_THREADS)
        wanted = [entry for entry, found in zip(manifest.files, present, strict=True) if not found]
    stored = {found.relative: found for found in store.list(join_uri(config.uri, ""))} if wanted else {}
    progress = Progress("model", len(wanted), sum(entry.size for entry in wanted))

    def one(entry: FileEntry) -> None:
        uri = join_uri(config.uri, entry.path)
        listed = stored.get(entry.path)
        if listed is None:
            raise AgentError(OBJECT_NOT_FOUND, f"{uri} is listed in the manifest, but does not exist")
        if listed.size != entry.size:
            raise AgentError(DIGEST_MISMATCH, f"{uri} has {listed.size} bytes, but {entry.size} were published")
        place = places[entry.path]
        store.download(uri, place, listed.size, listed.etag, expected=entry.sha256, advance=progress.advance)
        progress.file_done()

    with naming(str(folder)):
        check_capacity(config, folder, sum(entry.size for entry in manifest.files), sum(entry.size for entry in wanted))
    for _ in in_parallel(one, wanted, FILE_THREADS):
        pass
    check_contents(config, places)
    with naming(str(folder)):
        replace_file(folder / MANIFEST, manifest.model_dump_json(by_alias=True, exclude_none=True).encode())
    fetched = len(wanted)
    log.info("model %s: %d files downloaded, %d already present", config.digest, fetched, len(manifest.files) - fetched)
    return manifest


def _verify(uri: str, wanted: Verify, manifest: Manifest, store: ObjectStore) -> None:
    """Check the signature of a version."""
    # Imported late: it takes a second, and few models are signed.
    from perennial.agent.artifact.signature import verify

    where = join_uri(uri, SIGNATURE)
    try:
        signature = store.get_bytes(where, MANIFEST_LIMIT)
    except AgentError as error:
        if error.failure is OBJECT_NOT_FOUND:
            raise AgentError(SIGNATURE_MISSING, f"{where} does not exist") from error
        if error.failure is DATA_INVALID:
            raise AgentError(SIGNATURE_INVALID, error.message) from error
        raise
    verify(
        signature,
        wanted.public_key,
        manifest.files,
        join_uri(uri, ""),
        lambda name: store.get_bytes(join_uri(uri, name), MANIFEST_LIMIT),
    )
    log.info("the signature of %s is valid", uri)


def check_capacity(config: FetchModel, folder: Path, total: int, missing: int) -> None:
    """Check that a model fits its volume, before the download starts.

    Args:
        config: `most_bytes` is the volume's size limit, if it has one.
        folder: an existing folder on the volume.
        total: size of the model, in bytes.
        missing: bytes that are not downloaded yet.

    Raises:
        AgentError: OutOfSpace.
    """
    if config.most_bytes is not None and total > config.most_bytes:
        limit = f"workspace.sizeLimit allows {config.most_bytes}"
        raise AgentError(OUT_OF_SPACE, f"the model has {total} bytes, but {limit}")
    free = shutil.disk_usage(folder).free
    if missing > free:
        raise AgentError(OUT_OF_SPACE, f"{missing} bytes of the model are missing, but the disk has only {free} free")


def _is_present(path: Path, entry: FileEntry) -> bool:
    """Whether an earlier try downloaded the file completely."""
    return path.is_file() and path.stat().st_size == entry.size and file_sha256(path) == entry.sha256
