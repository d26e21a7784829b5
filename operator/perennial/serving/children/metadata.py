"""Name, labels, owner and selector of the objects that a ModelDeployment owns."""

from typing import Any

from perennial.api.modeldeployment.resource import ModelDeployment
from perennial.core.kinds import MODEL_DEPLOYMENT, Key
from perennial.core.labels import COMPONENT_LABEL, KIND_LABEL, NAME_LABEL, REVISION_LABEL, SERVER_COMPONENT
from perennial.core.names import owner_labels, selector_text
from perennial.core.podspec import owner_reference


def metadata_of(
    resource: ModelDeployment,
    name: str,
    *,
    labels: dict[str, str] | None = None,
    annotations: dict[str, str] | None = None,
) -> dict[str, Any]:
    """Build the metadata of a child: namespace, owner labels and owner reference."""
    meta = resource.metadata
    owner = Key(MODEL_DEPLOYMENT.kind, meta.namespace, meta.name)
    return {
        "name": name,
        "namespace": meta.namespace,
        "labels": {**owner_labels(owner, SERVER_COMPONENT), **(labels or {})},
        **({"annotations": annotations} if annotations else {}),
        "ownerReferences": [owner_reference(MODEL_DEPLOYMENT, meta)],
    }


def selector_of(owner: str, revision: str) -> dict[str, str]:
    """Build the label selector of one revision's pods."""
    return {KIND_LABEL: MODEL_DEPLOYMENT.kind, NAME_LABEL: owner, REVISION_LABEL: revision}


def split_selector(owner: str) -> dict[str, str]:
    """Build the label selector of the serving pods of all revisions."""
    return {COMPONENT_LABEL: SERVER_COMPONENT, KIND_LABEL: MODEL_DEPLOYMENT.kind, NAME_LABEL: owner}


def selector_text_of(owner: str, revision: str | None) -> str:
    """Build the selector of one revision, or of all with None, as a string for `status.selector`."""
    return selector_text(split_selector(owner) if revision is None else selector_of(owner, revision))
