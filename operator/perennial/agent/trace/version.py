"""Reads the manifest of the model that answered."""

from collections.abc import Sequence

from perennial.agent.artifact.digest import short
from perennial.agent.artifact.manifest import read_manifest
from perennial.agent.storage.client import join_uri
from perennial.agent.storage.errors import AgentError
from perennial.agent.tables.files import Store
from perennial.agent.text import cut
from perennial.api.contract.manifest import FileEntry, Manifest, Recipe
from perennial.api.contract.trace import KnownVersion, TracedInput, TracedVersion
from perennial.core.failures import OBJECT_NOT_FOUND

_LONGEST = 1000


def version_of(
    digest: str, versions: Sequence[KnownVersion], outputs: Sequence[str], store: Store
) -> TracedVersion | str:
    """Return the version with a digest, or why it is not known.

    Its manifest is looked for where the resources say that the version lies, then where training publishes.
    """
    known = [item.uri for item in versions if item.digest == digest]
    published = [join_uri(output, f"versions/{short(digest)}/") for output in outputs]
    candidates = list(dict.fromkeys((*known, *published)))
    if not candidates:
        return "no resource of the namespace says where the version with this digest lies"
    problems = []
    for uri in candidates:
        try:
            return _summary(uri, read_manifest(store, uri, digest))
        except AgentError as error:
            missing = error.failure is OBJECT_NOT_FOUND
            problems.append(f"{uri} has no manifest.json" if missing else f"{error.failure.reason}: {error.message}")
    return cut("; ".join(problems), _LONGEST)


def _summary(uri: str, manifest: Manifest) -> TracedVersion:
    """Leave out the lists of files: there may be 100,000."""
    recipe = {name: getattr(manifest, name) for name in Recipe.model_fields}
    return TracedVersion(
        **recipe,
        uri=uri,
        digest=manifest.digest,
        files=len(manifest.files),
        bytes=_size(manifest.files),
        namespace=manifest.namespace,
        training_job=manifest.training_job,
        run=manifest.run,
        chain=manifest.chain,
        attempt=manifest.attempt,
        inputs=tuple(
            TracedInput(
                name=item.name, uri=item.uri, digest=item.digest, files=len(item.files), bytes=_size(item.files)
            )
            for item in manifest.inputs
        ),
        metrics=manifest.metrics,
        created=manifest.created,
        published_by=manifest.published_by,
    )


def _size(files: tuple[FileEntry, ...]) -> int:
    return sum(entry.size for entry in files)
