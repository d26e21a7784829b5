"""Reads the reference: files under a URI, or the training inputs of the served model."""

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from perennial.agent.artifact.digest import content_digest
from perennial.agent.artifact.manifest import read_manifest
from perennial.agent.storage.errors import AgentError
from perennial.agent.tables.files import Download, Store, read_tables, some, split, tables_under, uri_of
from perennial.agent.tables.table import Table
from perennial.agent.text import count
from perennial.api.contract.commands import RunReference
from perennial.api.contract.manifest import FileEntry, InputManifest, Manifest
from perennial.core.failures import DATA_INVALID, DIGEST_MISMATCH, OBJECT_NOT_FOUND, REFERENCE_CHANGED

log = logging.getLogger(__name__)

_CHANGED = "publish the data under a new prefix and train again, or set reference.uri"


@dataclass(frozen=True)
class Reference:
    """The reference.

    Attributes:
        table: its rows.
        digest: digest of its files, as `content_digest`: names below the URI, sizes and contents.
    """

    table: Table
    digest: str


def read_reference(
    store: Store,
    reference: str | RunReference,
    folder: Path,
    as_text: Collection[str],
    pinned: str | None = None,
    *,
    lists: Collection[str] = (),
) -> Reference:
    """Read the reference.

    Args:
        store: storage of the reference.
        reference: a URI, or the version whose training inputs are the reference.
        folder: an empty folder for downloads and partitions.
        as_text: columns whose CSV values are not parsed.
        pinned: digest that the files under a URI must have. None: any.
        lists: columns that may be lists of numbers.

    Raises:
        AgentError: ObjectNotFound, if there are no files; ReferenceChanged, if they have another digest;
            ManifestInvalid; DigestMismatch, if a file has changed since training; DataInvalid, naming the file; or what
            storage raises.
    """
    if isinstance(reference, RunReference):
        return _read_inputs(store, reference, folder, as_text, lists)
    files = tables_under(store, reference)
    if not files.files:
        raise AgentError(OBJECT_NOT_FOUND, f"no objects found under reference.uri {reference}")
    noting = _NotingStore(store)
    table = read_tables(noting, files, folder, as_text, lists)
    entries = [
        FileEntry(path=_name_of(reference, item), size=item.size, sha256=noting.found[item.uri]) for item in files.files
    ]
    digest = content_digest(entries)
    if pinned is not None and digest != pinned:
        raise AgentError(
            REFERENCE_CHANGED,
            f"the {count(len(entries), 'file')} under reference.uri {reference} have the digest {digest}, but "
            f"reference.digest is {pinned}",
        )
    return Reference(table, digest)


def list_reference(store: Store, reference: str | RunReference) -> list[tuple[str, int, str]]:
    """Return key, bytes and ETag of the objects from which a reference is read; nothing of them is downloaded.

    Raises:
        AgentError: ManifestInvalid; ObjectNotFound, if the run had no such input; or what storage raises.
    """
    if isinstance(reference, str):
        return [(item.uri, item.size, item.etag) for item in tables_under(store, reference).files]
    chosen = _chosen(read_manifest(store, reference.uri, reference.digest), reference.input)
    return [(item.key, item.size, item.etag) for item in store.list(chosen.uri)]


def _read_inputs(
    store: Store, reference: RunReference, folder: Path, as_text: Collection[str], lists: Collection[str]
) -> Reference:
    chosen = _chosen(read_manifest(store, reference.uri, reference.digest), reference.input)
    files = _unlisted(store, chosen, folder) if not chosen.files else _listed(store, chosen)
    tables = split(chosen.uri, files)
    if not tables.files:
        raise AgentError(
            DATA_INVALID,
            f"input {chosen.name} of the run has no Parquet, CSV or JSON lines files: {some(tables.passed_over)}",
        )
    verifying = _VerifyingStore(store, {item.uri: item.sha256 for _, item in files})
    return Reference(read_tables(verifying, tables, folder, as_text, lists), chosen.digest)


def _name_of(uri: str, item: Download) -> str:
    """Return the name of a file below the URI; that of the file itself if the URI names it."""
    return item.uri.rsplit("/", 1)[-1] if item.uri == uri else item.uri.removeprefix(uri.rstrip("/") + "/")


class _NotingStore:
    """Storage that notes the sha256 of what is downloaded."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.found: dict[str, str] = {}
        self.list = store.list
        self.get_bytes = store.get_bytes
        self.put_bytes = store.put_bytes

    def download(self, uri: str, path: Path, size: int | None = None, etag: str | None = None) -> str:
        """Download an object and note its sha256."""
        self.found[uri] = self._store.download(uri, path, size, etag)
        return self.found[uri]


class _VerifyingStore:
    """Storage that verifies downloads against the sha256 recorded at training."""

    def __init__(self, store: Store, expected: dict[str, str | None]) -> None:
        self._store = store
        self._expected = expected
        self.list = store.list
        self.get_bytes = store.get_bytes
        self.put_bytes = store.put_bytes

    def download(self, uri: str, path: Path, size: int | None = None, etag: str | None = None) -> str:
        """Download an object and verify its sha256."""
        actual = self._store.download(uri, path, size, etag)
        expected = self._expected.get(uri)
        if expected is not None and actual != expected:
            path.unlink(missing_ok=True)
            raise AgentError(DIGEST_MISMATCH, f"the reference has changed since training: {uri}; {_CHANGED}")
        return actual


def _chosen(manifest: Manifest, name: str | None) -> InputManifest:
    names = ", ".join(item.name for item in manifest.inputs)
    if not manifest.inputs:
        raise AgentError(OBJECT_NOT_FOUND, f"run {manifest.run} had no inputs: set reference.uri instead")
    if name is None and len(manifest.inputs) > 1:
        raise AgentError(
            OBJECT_NOT_FOUND, f"run {manifest.run} had several inputs: set reference.input to one of {names}"
        )
    for item in manifest.inputs:
        if name in (None, item.name):
            return item
    raise AgentError(OBJECT_NOT_FOUND, f"run {manifest.run} had no input {name}: set reference.input to one of {names}")


def _listed(store: Store, chosen: InputManifest) -> list[tuple[str, Download]]:
    """Return the files of a run's input that its manifest lists, with their names.

    Raises:
        AgentError: DigestMismatch, if one is missing or has another size.
    """
    present = {item.relative: item for item in store.list(chosen.uri)}
    files: list[tuple[str, Download]] = []
    for entry in chosen.files:
        item = present.get(entry.path)
        if item is None or item.size != entry.size:
            state = "is missing" if item is None else f"has {item.size} bytes instead of {entry.size}"
            raise AgentError(
                DIGEST_MISMATCH, f"the reference has changed since training: {entry.path} {state}; {_CHANGED}"
            )
        files.append((entry.path, Download(uri_of(chosen.uri, item.key), item.size, item.etag, entry.sha256)))
    return files


def _unlisted(store: Store, chosen: InputManifest, folder: Path) -> list[tuple[str, Download]]:
    """Return all files of an input that the manifest does not list, with their names.

    Raises:
        AgentError: DigestMismatch, if their common digest is not that of the training.
    """
    log.info("the manifest does not list the files of input %s: verifying their common digest", chosen.name)
    path = folder / "hashing"
    entries: list[FileEntry] = []
    files: list[tuple[str, Download]] = []
    for item in store.list(chosen.uri):
        if item.key.endswith("/"):
            continue
        found = Download(uri_of(chosen.uri, item.key), item.size, item.etag)
        digest = store.download(found.uri, path, item.size, item.etag)
        entries.append(FileEntry(path=item.relative, size=item.size, sha256=digest))
        files.append((item.relative, replace(found, sha256=digest)))
        path.unlink()
    if content_digest(_in_order(entries)) != chosen.digest:
        raise AgentError(
            DIGEST_MISMATCH, f"the reference has changed since training: files under {chosen.uri}; {_CHANGED}"
        )
    return files


def _in_order(entries: Sequence[FileEntry]) -> list[FileEntry]:
    return sorted(entries, key=lambda entry: entry.path)
