"""Name, labels, owner and selector of the objects that a ModelDeployment owns."""

from typing import Any

from perennial.api.modeldeployment.resource import ModelDeployment
from perennial.core.kinds import MODEL_DEPLOYMENT, Key
from perennial.core.labels import KIND_LABEL, NAME_LABEL, REVISION_LABEL
from perennial.core.names import owner_labels, selector_text
from perennial.core.podspec import owner_reference

COMPONENT = "server"


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
        "labels": {**owner_labels(owner, COMPONENT), **(labels or {})},
        **({"annotations": annotations} if annotations else {}),
        "ownerReferences": [owner_reference(MODEL_DEPLOYMENT, meta)],
    }


def selector_of(owner: str, revision: str) -> dict[str, str]:
    """Build the label selector of one revision's pods."""
    return {KIND_LABEL: MODEL_DEPLOYMENT.kind, NAME_LABEL: owner, REVISION_LABEL: revision}


def selector_text_of(owner: str, revision: str) -> str:
    """Build the same selector as a string, for `status.selector`."""
    return selector_text(selector_of(owner, revision))
