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
QUOTA_EXCEEDED: Final = "QuotaExceeded"

_ABOUT_CHILDREN = frozenset({CHILD_NAME_TAKEN, CHILD_REJECTED, QUOTA_EXCEEDED})
_KSTATUS = frozenset({READY, RECONCILING, STALLED})
_CONDITIONS = TypeAdapter(tuple[Condition, ...])
_SLOW_SECONDS = 60.0
_MOST_ERRORS = 5


@dataclass(frozen=True)
class ErrorCondition:
    """Why a resource does not get on, and what to do about it."""

    reason: str
    message: str
    needs_person: bool = True
    retry_seconds: float | None = None
    """When to look again without an event; None: with growing waits."""


def of_spec(error: ValidationError) -> ErrorCondition:
    """Return the trouble of a spec that does not parse, field by field."""
    faults = error.errors(include_url=False, include_input=False, include_context=False)
    texts = [f"{_path(fault['loc'])}: {fault['msg']}" for fault in faults[:_MOST_ERRORS]]
    more = len(faults) - _MOST_ERRORS
    tail = f"; and {more} more" if more > 0 else ""
    return ErrorCondition(INVALID_SPEC, f"{'; '.join(texts)}{tail}. Correct the fields and apply the resource again")


def only_status_is_broken(error: ValidationError) -> bool:
    """Tell whether nothing but the status keeps an object from being parsed: someone edited it by hand."""
    return all(fault["loc"][:1] == ("status",) for fault in error.errors(include_url=False, include_input=False))


def of_children(error: ChildConflict | ApiError) -> ErrorCondition | None:
    """Return the trouble that an action met, or None where the error says nothing about the resource."""
    if isinstance(error, ChildConflict):
        title = f"{error.kind.kind} {error.name}"
        return ErrorCondition(
            CHILD_NAME_TAKEN,
            f"{title} is needed but the name belongs to {error.holder}. Delete or rename that {error.kind.kind}, "
            "or give this resource another name",
            retry_seconds=_SLOW_SECONDS,
        )
    if error.quota_exceeded:
        message = f"{error.message}. Wait for room or raise the ResourceQuota; it is tried again"
        return ErrorCondition(QUOTA_EXCEEDED, message, needs_person=False)
    if error.rejected and not error.namespace_ending:
        message = f"the API server refused a child: {error.message}. Correct the spec, or the policy that refuses it"
        return ErrorCondition(CHILD_REJECTED, message)
    return None


def with_error_condition(
    status: Any, error_condition: ErrorCondition, generation: int, now: datetime
) -> dict[str, Any]:
    """Return the status with the trouble's conditions laid over it."""
    base = _as_status(status)
    before = _conditions_of(base)
    ready = find(before, READY)
    # What stands goes on serving; only an unreadable spec leaves nothing to say about that.
    serving = error_condition.reason != INVALID_SPEC and ready is not None and ready.status == "True"
    make = stalled if error_condition.needs_person else reconciling
    wanted = make(error_condition.reason, error_condition.message, serving=serving)
    ours = settle(before, wanted, generation, now)
    return {**base, "observedGeneration": generation, "conditions": _merge(ours, before)}


def keep_error_conditions(status: dict[str, Any], live: Any) -> dict[str, Any]:
    """Return the status with the trouble that the live one tells of: nobody knows yet that it is over."""
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
    """Return `spec.inputs[0].uri` for a location in an object."""
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.lstrip(".") or "(the object)"


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
