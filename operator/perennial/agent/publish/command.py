"""`perennial agent publish`: the native sidecar that publishes the output of training.

The kubelet sends SIGTERM after the main container has ended, but not its exit code. So the sidecar publishes the output
in any case, and the operator accepts the version only if training succeeded (see
docs/adr/0003-the-agent-publishes-the-operator-accepts.md).
"""

import logging
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from perennial import __version__
from perennial.agent.artifact.digest import content_digest, file_sha256, short
from perennial.agent.artifact.manifest import CARD, INPUT_RECORDS, MANIFEST, MANIFEST_LIMIT, SIGNATURE
from perennial.agent.artifact.paths import shared_folder
from perennial.agent.checkpoint.mirror import checkpoints
from perennial.agent.publish.model_card import model_card
from perennial.agent.publish.output import METRICS_FILE, output_files, output_watch, read_metrics, without_signature
from perennial.agent.publish.progress_server import progress_server
from perennial.agent.storage.client import ObjectStore, join_uri, naming
from perennial.agent.storage.errors import AgentError
from perennial.agent.storage.parallel import FILE_THREADS, in_parallel
from perennial.agent.storage.progress import Progress
from perennial.agent.storage.retry import Retry
from perennial.api.contract.commands import WORKER_VARIABLE, PublishConfig, SigningKey
from perennial.api.contract.manifest import MOST_SKIPPED, FileEntry, InputManifest, Manifest, SkippedFile
from perennial.api.contract.messages import NothingToPublish, Published
from perennial.core.failures import DATA_INVALID, DIGEST_MISMATCH
from perennial.core.times import format_time

log = logging.getLogger(__name__)

READY_FILE = ".perennial/ready"
"""Tells the startup probe that SIGTERM is handled from now on."""
RETRY_SECONDS = 240.0
"""How long storage may be unavailable. The pod's termination grace period is at least ten minutes."""
_METRICS_TOLD = 32


def publish_on_sigterm(
    config: PublishConfig, store: ObjectStore, wait: Callable[[], object]
) -> Published | NothingToPublish:
    """Wait until the main container has ended, then publish.

    Args:
        config: what to publish, and where.
        store: target storage.
        wait: returns once SIGTERM has been received, even before the call.

    Raises:
        AgentError: as in `core.failures`.
    """
    root = Path(config.root)
    if config.sign is not None:
        # Before the training: hours of it would be lost at their end.
        from perennial.agent.artifact.signature import check_signing_key

        check_signing_key(config.sign)
    with naming(str(root)):
        shared_folder(root / "output")
        ready = root / READY_FILE
        ready.parent.mkdir(exist_ok=True)
        ready.touch()
    log.info("waiting for training to end")
    worker = int(os.environ.get(WORKER_VARIABLE, "0"))
    with (
        output_watch(root / "output") as watch,
        checkpoints(root, config.checkpoint, worker, store) as state,
        progress_server(root, warnings=watch.standing, checkpoint=state),
    ):
        wait()
    if worker != 0:
        log.info("not the first worker: nothing to publish")
        return NothingToPublish()
    return publish(config, store)


def publish(
    config: PublishConfig, store: ObjectStore, retry_seconds: float = RETRY_SECONDS
) -> Published | NothingToPublish:
    """Publish the output folder under the digest of its content, manifest last.

    Raises:
        AgentError: as in `core.failures`.
    """
    output = Path(config.root) / "output"
    found = output_files(output)
    if config.sign is not None:
        found = without_signature(found)
    names = found.files
    if not names:
        log.warning("%s is empty: nothing to publish", output)
        return NothingToPublish()
    entries = tuple(in_parallel(lambda name: _entry(output, name), names, FILE_THREADS))
    digest = content_digest(entries)
    version = join_uri(config.output, f"versions/{short(digest)}/")
    metrics = read_metrics(output / METRICS_FILE, config.metrics_first or ())
    signature = _signature(config.sign, entries, short(digest))
    manifest = _manifest(config, entries, found.skipped, digest, metrics)
    retry = Retry(retry_seconds)

    known = retry(lambda: _is_published(store, version, digest))
    _upload(store, output, version, entries, retry)
    if signature is not None:
        # A version that is known may have been signed with an older key, or by nobody.
        retry(lambda: store.put_bytes(join_uri(version, SIGNATURE), signature, "application/json"))
    document = manifest.model_dump_json(by_alias=True, exclude_none=True, indent=2).encode()
    record = join_uri(config.output, f"runs/{config.run}.json")
    retry(lambda: store.put_bytes(record, document, "application/json"))
    if not known:
        if CARD not in names:
            card = model_card(manifest).encode()
            retry(lambda: store.put_bytes(join_uri(version, CARD), card, "text/markdown; charset=utf-8"))
        # The manifest comes last and marks the version as complete. A version keeps the manifest of its first run.
        retry(lambda: store.put_bytes(join_uri(version, MANIFEST), document, "application/json"))
    size = sum(entry.size for entry in entries)
    log.info("published %s: %d files, %d bytes, %s%s", version, len(entries), size, digest, " (known)" if known else "")
    return Published(
        uri=version,
        digest=digest,
        files=len(entries),
        bytes=size,
        metrics=dict(list(metrics.items())[:_METRICS_TOLD]),
        metrics_dropped=max(0, len(metrics) - _METRICS_TOLD),
        time=manifest.created,
    )


def _signature(key: SigningKey | None, files: tuple[FileEntry, ...], name: str) -> bytes | None:
    """Sign the files of a version; None without a key."""
    if key is None:
        return None
    # Imported late: it takes a second, and few models are signed.
    from perennial.agent.artifact.signature import sign

    return sign(key, files, name)


def _entry(output: Path, name: str) -> FileEntry:
    path = output / name
    try:
        return FileEntry(path=name, size=path.stat().st_size, sha256=file_sha256(path))
    except PermissionError as error:
        raise AgentError(DATA_INVALID, f"the agent cannot read {name!r} in the output: chmod a+r it") from error


def _manifest(
    config: PublishConfig,
    files: tuple[FileEntry, ...],
    skipped: tuple[SkippedFile, ...],
    digest: str,
    metrics: dict[str, str],
) -> Manifest:
    return Manifest(
        digest=digest,
        files=files,
        skipped=skipped[:MOST_SKIPPED],
        namespace=config.namespace,
        training_job=config.training_job,
        run=config.run,
        chain=config.chain,
        attempt=config.attempt,
        **dict(config.recipe),
        inputs=_inputs(Path(config.root) / ".perennial" / "inputs.json"),
        metrics=metrics,
        created=format_time(datetime.now(UTC)),
        published_by=__version__,
    )


def _inputs(record: Path) -> tuple[InputManifest, ...]:
    """Read the record written by `fetch`. It is untrusted: the training container can change it."""
    try:
        return INPUT_RECORDS.validate_json(record.read_bytes())
    except FileNotFoundError:
        return ()
    except (ValidationError, OSError) as error:
        raise AgentError(DATA_INVALID, f"{record} was changed during training: {type(error).__name__}") from error


def _is_published(store: ObjectStore, version: str, digest: str) -> bool:
    """Whether a version with the same content has been published before."""
    uri = join_uri(version, MANIFEST)
    if not store.exists(uri):
        return False
    try:
        published = Manifest.model_validate_json(store.get_bytes(uri, MANIFEST_LIMIT)).digest
    except ValidationError:
        log.warning("%s is not a valid manifest and is replaced", uri)
        return False
    if published != digest:
        raise AgentError(DIGEST_MISMATCH, f"{uri} has digest {published}, not {digest}; it is not overwritten")
    return True


def _upload(store: ObjectStore, output: Path, version: str, entries: tuple[FileEntry, ...], retry: Retry) -> None:
    """Upload the files that an earlier, interrupted attempt has not uploaded."""
    sizes = retry(lambda: {found.relative: found.size for found in store.list(version)})
    progress = Progress("publishing", len(entries), sum(entry.size for entry in entries))

    def one(entry: FileEntry) -> None:
        uri = join_uri(version, entry.path)
        # Overwriting an object by other means drops its sha256, so publishing again repairs the version.
        same = sizes.get(entry.path) == entry.size and store.uploaded_sha256(uri) == entry.sha256
        if not same:
            store.upload(output / entry.path, uri, entry.sha256)
        progress.advance(entry.size)
        progress.file_done()

    for _ in in_parallel(lambda entry: retry(lambda: one(entry)), entries, FILE_THREADS):
        pass
