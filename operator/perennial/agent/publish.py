"""`perennial agent publish`: the native sidecar that publishes what the training left.

The kubelet signals it when the main container has ended; with which exit code it cannot know. So it publishes whatever
is in the output folder, and the operator accepts the version only when the training ended well (see
docs/adr/0003-the-agent-publishes-the-operator-accepts.md).
"""

import json
import logging
import os
import stat
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import Any

from pydantic import ValidationError

from perennial.agent.digest import content_digest, file_sha256, short
from perennial.agent.errors import AgentError
from perennial.agent.fetch import MANIFEST, MANIFEST_LIMIT, RECORD, in_parallel
from perennial.agent.paths import shared_folder
from perennial.agent.progress import Progress
from perennial.agent.storage import ObjectStore, join_uri
from perennial.api.agent import PublishConfig
from perennial.api.manifest import FileEntry, InputManifest, Manifest
from perennial.api.messages import NothingToPublish, Published
from perennial.core.failures import DATA_INVALID, UNSAFE_PATH
from perennial.core.times import format_time

log = logging.getLogger(__name__)

METRICS_FILE = "metrics.json"
READY_FILE = ".perennial/ready"
"""Its presence tells the startup probe that SIGTERM will be heard."""
_METRICS_LIMIT = 2**20
_MOST_FILES = 100_000
_MOST_METRICS = 64
_LONGEST_NAME = 63
_LONGEST_VALUE = 32


def publish_when_told(config: PublishConfig, store: ObjectStore, told: Event) -> Published | NothingToPublish:
    """Wait for the main container's end, then publish.

    Raises:
        AgentError: as `core.failures` tells.
    """
    root = Path(config.root)
    shared_folder(root / "output")
    ready = root / READY_FILE
    shared_folder(ready.parent)
    ready.touch()
    log.info("waiting for the training to end")
    told.wait()
    return publish(config, store)


def publish(config: PublishConfig, store: ObjectStore) -> Published | NothingToPublish:
    """Publish the output folder under the digest of its content, manifest last.

    Raises:
        AgentError: as `core.failures` tells.
    """
    output = Path(config.root) / "output"
    paths = sorted(_files(output))
    if not paths:
        log.warning("%s is empty: there is nothing to publish", output)
        return NothingToPublish()
    entries = tuple(_entry(output, path) for path in paths)
    digest = content_digest(entries)
    version = join_uri(config.output, f"versions/{short(digest)}/")
    metrics = read_metrics(output / METRICS_FILE)
    manifest = _manifest(config, entries, digest, metrics)
    known = _known_manifest(store, version, digest)
    missing = _missing(store, version, entries) if known else list(entries)
    _upload(store, output, version, missing)
    document = manifest.model_dump_json(by_alias=True, exclude_none=True, indent=2).encode()
    store.put_bytes(join_uri(config.output, f"runs/{config.run}.json"), document, "application/json")
    if not known:
        # Last of all: where a manifest lies, the version is complete. The first run that made it stays its author.
        store.put_bytes(join_uri(version, MANIFEST), document, "application/json")
    size = sum(entry.size for entry in entries)
    log.info("published %s: %d files, %d bytes, %s%s", version, len(entries), size, digest, " (known)" if known else "")
    return Published(
        uri=version,
        digest=digest,
        files=len(entries),
        bytes=size,
        metrics=dict(list(metrics.items())[:32]),
        metrics_dropped=max(0, len(metrics) - 32),
        time=manifest.created,
    )


def _files(output: Path) -> Iterator[Path]:
    """Yield the regular files under a folder; links to files inside it count as files."""
    inside = output.resolve()
    for folder, _, names in os.walk(output):
        for name in names:
            path = Path(folder) / name
            resolved = path.resolve()
            if not resolved.is_relative_to(inside):
                raise AgentError(UNSAFE_PATH, f"{path.relative_to(output)} in the output is a link that leaves it")
            if not resolved.exists() or not stat.S_ISREG(resolved.stat().st_mode):
                raise AgentError(DATA_INVALID, f"{path.relative_to(output)} in the output is no regular file")
            yield path


def _entry(output: Path, path: Path) -> FileEntry:
    relative = path.relative_to(output).as_posix()
    try:
        return FileEntry(path=relative, size=path.stat().st_size, sha256=file_sha256(path))
    except (ValidationError, UnicodeEncodeError) as error:
        raise AgentError(
            DATA_INVALID, f"the output holds a file whose name cannot be published: {relative[:100]!r}"
        ) from error


def _manifest(config: PublishConfig, files: tuple[FileEntry, ...], digest: str, metrics: dict[str, str]) -> Manifest:
    if len(files) > _MOST_FILES:
        raise AgentError(
            DATA_INVALID, f"the output has {len(files)} files; at most {_MOST_FILES} can be published: pack them"
        )
    return Manifest(
        digest=digest,
        files=files,
        namespace=config.namespace,
        training_job=config.training_job,
        run=config.run,
        attempt=config.attempt,
        image=config.image,
        command=config.command,
        args=config.args,
        source=config.source,
        parameters=config.parameters,
        seed=config.seed,
        inputs=_inputs(Path(config.root) / ".perennial" / "inputs.json"),
        metrics=metrics,
        created=format_time(datetime.now(UTC)),
    )


def _inputs(record: Path) -> tuple[InputManifest, ...]:
    """Return what `fetch` wrote down; the folder is shared with the user's container, so it may be anything."""
    try:
        return RECORD.validate_json(record.read_bytes())
    except FileNotFoundError:
        return ()
    except (ValidationError, OSError) as error:
        raise AgentError(DATA_INVALID, f"{record} was changed during the training: {type(error).__name__}") from error


def _known_manifest(store: ObjectStore, version: str, digest: str) -> bool:
    """Tell whether this very content has been published before."""
    uri = join_uri(version, MANIFEST)
    if not store.exists(uri):
        return False
    try:
        return Manifest.model_validate_json(store.get_bytes(uri, MANIFEST_LIMIT)).digest == digest
    except ValidationError:
        log.warning("%s is no manifest and is replaced", uri)
        return False


def _missing(store: ObjectStore, version: str, entries: tuple[FileEntry, ...]) -> list[FileEntry]:
    present = {found.relative: found.size for found in store.list(version)}
    return [entry for entry in entries if present.get(entry.path) != entry.size]


def _upload(store: ObjectStore, output: Path, version: str, entries: list[FileEntry]) -> None:
    progress = Progress("publishing", len(entries), sum(entry.size for entry in entries))

    def one(entry: FileEntry) -> None:
        store.upload(output / entry.path, join_uri(version, entry.path))
        progress.add(entry.size)

    in_parallel(one, entries, version)


def read_metrics(path: Path) -> dict[str, str]:
    """Return the metrics that the training wrote, flat and as text.

    A broken file costs the metrics, not the model: hours of training are not thrown away for it.
    """
    try:
        if path.stat().st_size > _METRICS_LIMIT:
            raise ValueError(f"it is larger than {_METRICS_LIMIT} bytes")
        found = json.loads(path.read_bytes())
        if not isinstance(found, dict):
            raise ValueError("it is no JSON object")  # noqa: TRY004 - told to the user like the other mistakes
    except FileNotFoundError:
        return {}
    except (ValueError, RecursionError) as error:
        log.warning("%s is left out: %s", METRICS_FILE, error)
        return {}
    flat = dict(_flatten(found, ""))
    return dict(list(flat.items())[:_MOST_METRICS])


def _flatten(values: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{name}.")
        elif isinstance(value, bool | int | float | str):
            text = json.dumps(value) if not isinstance(value, str) else value
            yield name[:_LONGEST_NAME], text[:_LONGEST_VALUE]
