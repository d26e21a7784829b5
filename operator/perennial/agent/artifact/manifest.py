"""Reads and verifies the manifest of a published version; format of the record of downloaded inputs."""

from typing import Protocol

from pydantic import TypeAdapter, ValidationError

from perennial.agent.artifact.digest import content_digest
from perennial.agent.storage.client import join_uri
from perennial.agent.storage.errors import AgentError
from perennial.api.contract.manifest import InputManifest, Manifest
from perennial.core.failures import DATA_INVALID, DIGEST_MISMATCH, MANIFEST_INVALID

MANIFEST = "manifest.json"
SIGNATURE = "model.sig"
"""Beside the manifest of a signed version: see `artifact.signature`."""
CARD = "README.md"
"""Model card. Publishing writes one beside the files if there is none among them."""
MANIFEST_LIMIT = 64 * 2**20
"""Size limit of a manifest, in bytes."""
INPUT_RECORDS = TypeAdapter(tuple[InputManifest, ...])
"""Written by `fetch` for `publish`: one record per input."""


class SmallObjects(Protocol):
    """The storage operation that reading a manifest needs."""

    def get_bytes(self, uri: str, limit: int) -> bytes:
        """Return the content of an object of at most `limit` bytes."""


def read_manifest(store: SmallObjects, uri: str, digest: str) -> Manifest:
    """Return the manifest of a version after checking its digest against the expected one and against its files.

    Raises:
        AgentError: ManifestInvalid, DigestMismatch, or as in `core.failures`.
    """
    where = join_uri(uri, MANIFEST)
    try:
        manifest = Manifest.model_validate_json(store.get_bytes(where, MANIFEST_LIMIT))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise AgentError(MANIFEST_INVALID, f"{where} is not a valid manifest: {place}: {first['msg']}"[:500]) from error
    except AgentError as error:
        if error.failure is DATA_INVALID:
            raise AgentError(MANIFEST_INVALID, error.message) from error
        raise
    if manifest.digest != digest:
        raise AgentError(DIGEST_MISMATCH, f"{where} has digest {manifest.digest[:19]}…, expected {digest[:19]}…")
    if content_digest(manifest.files) != digest:
        raise AgentError(DIGEST_MISMATCH, f"the files listed in {where} do not match its digest")
    paths = {entry.path for entry in manifest.files}
    if len(paths) < len(manifest.files) or MANIFEST in paths:
        raise AgentError(MANIFEST_INVALID, f"{where} lists a file twice, or lists itself")
    return manifest
