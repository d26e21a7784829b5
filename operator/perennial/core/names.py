"""Names and labels of children: deterministic, never too long, never shared by two owners."""

import hashlib
import json
from typing import Any

from perennial.core.kinds import Key
from perennial.core.labels import COMPONENT_LABEL, KIND_LABEL, MANAGED_BY_LABEL, NAME_LABEL

FIELD_MANAGER = "perennial"

LABEL_LIMIT = 63
"""Most characters of a label value, and so of a Job, Service or pod-template name."""

_HASH_LENGTH = 8


def digest_of(value: Any, length: int = 10) -> str:
    """Return the first hex digits of the sha256 of a JSON value, the same for equal values."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:length]


def child_name(parent: str, suffix: str, limit: int = LABEL_LIMIT) -> str:
    """Return `parent-suffix`, or a shortened parent with a hash where that would be too long.

    The hash covers the whole parent, so two long parents with one beginning do not share a child.
    """
    plain = f"{parent}-{suffix}"
    if len(plain) <= limit:
        return plain
    digest = hashlib.sha256(parent.encode()).hexdigest()[:_HASH_LENGTH]
    room = limit - len(suffix) - _HASH_LENGTH - 2
    return f"{parent[:room].rstrip('-')}-{digest}-{suffix}"


def owner_labels(owner: Key, component: str) -> dict[str, str]:
    """Return the labels by which a child, and its pods, are found again."""
    return {
        MANAGED_BY_LABEL: "perennial",
        COMPONENT_LABEL: component,
        KIND_LABEL: owner.kind,
        NAME_LABEL: owner.name,
    }


def selector_text(labels: dict[str, str]) -> str:
    """Return labels as a selector string, in a stable order."""
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
