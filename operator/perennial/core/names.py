"""Names and labels of children: deterministic, within length limits, and unique to their owner."""

import hashlib
import json
from typing import Any

from perennial.core.kinds import Key
from perennial.core.labels import COMPONENT_LABEL, KIND_LABEL, MANAGED_BY_LABEL, NAME_LABEL

FIELD_MANAGER = "perennial"

LABEL_LIMIT = 63
"""Maximum length of a label value, and therefore of the name of a Job or Service."""

_HASH_LENGTH = 8


def digest_of(value: Any, length: int = 10) -> str:
    """First hex digits of the sha256 of a JSON value; equal values have equal digests."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:length]


def child_name(parent: str, suffix: str, limit: int = LABEL_LIMIT) -> str:
    """`parent-suffix`, or if that is too long, a shortened parent with a hash.

    The hash covers the whole parent, so two long parents with the same beginning have different children.
    """
    plain = f"{parent}-{suffix}"
    if len(plain) <= limit:
        return plain
    digest = hashlib.sha256(parent.encode()).hexdigest()[:_HASH_LENGTH]
    length = limit - len(suffix) - _HASH_LENGTH - 2
    return f"{parent[:length].rstrip('-')}-{digest}-{suffix}"


def owner_labels(owner: Key, component: str) -> dict[str, str]:
    """Labels of a child and its pods, by which they are watched and found."""
    return {
        MANAGED_BY_LABEL: "perennial",
        COMPONENT_LABEL: component,
        KIND_LABEL: owner.kind,
        NAME_LABEL: owner.name,
    }


def selector_text(labels: dict[str, str]) -> str:
    """Format labels as a selector string, sorted by key."""
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
