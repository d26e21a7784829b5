"""The manifest of a published version, and the records of pulled inputs: reading and checking them."""

from typing import Protocol

from pydantic import TypeAdapter, ValidationError

from perennial.agent.artifact.digest import content_digest
from perennial.agent.storage.client import join_uri
from perennial.agent.storage.errors import AgentError
from perennial.api.contract.manifest import InputManifest, Manifest
from perennial.core.failures import DATA_INVALID, DIGEST_MISMATCH, MANIFEST_INVALID

MANIFEST = "manifest.json"
MANIFEST_LIMIT = 64 * 2**20
"""Largest manifest that is read, in bytes."""
INPUT_RECORDS = TypeAdapter(tuple[InputManifest, ...])
"""What `fetch` leaves for `publish`: one record for each input."""


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
