"""Reasons that the runtime gives to resources of every kind, for the reference."""

from perennial.core.reasons import ReasonDoc
from perennial.runtime.trouble import CHILD_NAME_TAKEN, CHILD_REJECTED, INVALID_SPEC, QUOTA_EXCEEDED

REASONS: tuple[ReasonDoc, ...] = (
    ReasonDoc(
        INVALID_SPEC,
        "Ready, Stalled",
        "The spec holds something that the API server let through and the operator cannot use.",
        "Correct the fields that the message names; nothing is tried until the spec changes.",
    ),
    ReasonDoc(
        CHILD_NAME_TAKEN,
        "Ready, Stalled",
        "An object of the name that a child needs is there already and belongs to somebody else. It is left alone.",
        "Delete or rename that object, or give the resource another name.",
    ),
    ReasonDoc(
        CHILD_REJECTED,
        "Ready, Stalled",
        "The API server or an admission policy refuses a child.",
        "Correct the spec, or the policy that the message names.",
    ),
    ReasonDoc(
        QUOTA_EXCEEDED,
        "Ready, Reconciling",
        "A ResourceQuota of the namespace has no room for a child.",
        "Wait for room or raise the quota; it is tried again by itself.",
    ),
)
"""Every reason that the runtime itself gives, whatever the room says."""
