"""Conditions that the runtime sets when a reconcile cannot proceed, for resources of every kind.

They overlay the status that the controller decides, and stay until the actions succeed, so that a retry which fails in
the same way writes nothing.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from perennial.adapters.errors import ApiError
from perennial.api.common.status import Condition
from perennial.core.conditions import READY, RECONCILING, STALLED, find, reconciling, settle, stalled
from perennial.core.decision import ChildConflict
from perennial.core.reasons import ReasonDoc

INVALID_SPEC: Final = "InvalidSpec"
CHILD_NAME_TAKEN: Final = "ChildNameTaken"
CHILD_REJECTED: Final = "ChildRejected"
CHILD_TOO_LARGE: Final = "ChildTooLarge"
QUOTA_EXCEEDED: Final = "QuotaExceeded"
STATUS_REJECTED: Final = "StatusRejected"

_ABOUT_CHILDREN = frozenset({CHILD_NAME_TAKEN, CHILD_REJECTED, CHILD_TOO_LARGE, QUOTA_EXCEEDED})
_KSTATUS = frozenset({READY, RECONCILING, STALLED})
_CONDITIONS = TypeAdapter(tuple[Condition, ...])
_SLOW_SECONDS = 60.0
_MOST_ERRORS = 5


@dataclass(frozen=True)
class ErrorCondition:
    """Why a reconcile cannot proceed, and what to do."""

    reason: str
    message: str
    needs_person: bool = True
    retry_seconds: float | None = None
    """Seconds until the next reconcile without an event; None: exponential backoff."""


def of_spec(error: ValidationError) -> ErrorCondition:
    """Describe an invalid spec, field by field."""
    faults = error.errors(include_url=False, include_input=False, include_context=False)
    texts = [f"{_path(fault['loc'])}: {fault['msg']}" for fault in faults[:_MOST_ERRORS]]
    more = len(faults) - _MOST_ERRORS
    tail = f"; and {more} more" if more > 0 else ""
    return ErrorCondition(INVALID_SPEC, f"{'; '.join(texts)}{tail}. Correct the fields and apply the resource again")


def only_status_is_broken(error: ValidationError) -> bool:
    """Tell whether only the status is invalid, because it was edited by hand."""
    return all(fault["loc"][:1] == ("status",) for fault in error.errors(include_url=False, include_input=False))


def of_children(error: ChildConflict | ApiError) -> ErrorCondition | None:
    """Describe a failed action; None if the error is not about the resource."""
    if isinstance(error, ChildConflict):
        title = f"{error.kind.kind} {error.name}"
        return ErrorCondition(
            CHILD_NAME_TAKEN,
            f"{title} is needed but the name belongs to {error.holder}. Delete or rename that "
            f"{error.kind.kind}, or give this resource another name",
            retry_seconds=_SLOW_SECONDS,
        )
    if error.quota_exceeded:
        message = f"{error.message}. Free some quota or raise the ResourceQuota; it is retried"
        return ErrorCondition(QUOTA_EXCEEDED, message, needs_person=False)
    if error.too_large:
        message = (
            f"a child is too large for the API server: {error.message}. Shorten the spec: its parameters, env, args, "
            "inputs or annotations"
        )
        return ErrorCondition(CHILD_TOO_LARGE, message)
    if error.rejected and not error.namespace_ending:
        message = f"the API server rejected a child: {error.message}. Correct the spec, or the policy that rejects it"
        return ErrorCondition(CHILD_REJECTED, message)
    return None


def of_status(error: ApiError) -> ErrorCondition | None:
    """Describe a status that the API server does not store; None if the error is about something else."""
    if error.too_large:
        advice = "Lower the history limits in the spec, or shorten its parameters; the last complete status is kept"
    elif error.rejected and not error.namespace_ending:
        advice = "Upgrade the CRDs together with the operator, or correct the admission policy that rejects it"
    else:
        return None
    return ErrorCondition(STATUS_REJECTED, f"the API server does not store the status: {error.message}. {advice}")


def with_error_condition(
    status: Any, error_condition: ErrorCondition, generation: int, now: datetime
) -> dict[str, Any]:
    """Overlay the error condition on a status."""
    base = _as_status(status)
    before = _conditions_of(base)
    ready = find(before, READY)
    # What runs keeps serving; only with an invalid spec that cannot be known.
    serving = error_condition.reason != INVALID_SPEC and ready is not None and ready.status == "True"
    make = stalled if error_condition.needs_person else reconciling
    wanted = make(error_condition.reason, error_condition.message, serving=serving)
    ours = settle(before, wanted, generation, now)
    return {**base, "observedGeneration": generation, "conditions": _merge(ours, before)}


def keep_error_conditions(status: dict[str, Any], live: Any) -> dict[str, Any]:
    """Keep the error conditions of the live status until the actions succeed."""
    known = _conditions_of(_as_status(live))
    kept = [item for item in known if item.type in _KSTATUS and item.reason in _ABOUT_CHILDREN]
    return {**status, "conditions": _merge(kept, _conditions_of(status))} if kept else status


def _merge(ours: Iterable[Condition], others: Iterable[Condition]) -> list[dict[str, Any]]:
    rest = (item for item in others if item.type not in _KSTATUS)
    return [item.dump() for item in (*ours, *rest)]


def _conditions_of(status: dict[str, Any]) -> tuple[Condition, ...]:
    try:
        return _CONDITIONS.validate_python(status.get("conditions") or ())
    except ValidationError:
        return ()


def _as_status(status: Any) -> dict[str, Any]:
    return status if isinstance(status, dict) else {}


def _path(location: tuple[int | str, ...]) -> str:
    """Format a location in an object: `spec.inputs[0].uri`."""
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.lstrip(".") or "(the object)"


REASONS: tuple[ReasonDoc, ...] = (
    ReasonDoc(
        INVALID_SPEC,
        "Ready, Stalled",
        "The API server accepted the spec, but the operator cannot use it.",
        "Correct the fields that the message names; nothing is retried until the spec changes.",
    ),
    ReasonDoc(
        CHILD_NAME_TAKEN,
        "Ready, Stalled",
        "The name of a child is taken by an object of another owner, which is left unchanged.",
        "Delete or rename that object, or give the resource another name.",
    ),
    ReasonDoc(
        CHILD_REJECTED,
        "Ready, Stalled",
        "The API server or an admission policy rejects a child.",
        "Correct the spec, or the policy that the message names.",
    ),
    ReasonDoc(
        CHILD_TOO_LARGE,
        "Ready, Stalled",
        "A child is larger than the API server accepts.",
        "Shorten the spec: parameters, env, args, inputs or annotations.",
    ),
    ReasonDoc(
        STATUS_REJECTED,
        "Ready, Stalled",
        "The API server does not store the status: it is too large, or the CRDs or a policy reject it.",
        "Lower the history limits, upgrade the CRDs, or correct the policy; the last complete status is kept.",
    ),
    ReasonDoc(
        QUOTA_EXCEEDED,
        "Ready, Reconciling",
        "A child exceeds a ResourceQuota of the namespace.",
        "Free some quota or raise it; it is retried automatically.",
    ),
)
"""Reasons of the runtime itself, for resources of every kind."""
