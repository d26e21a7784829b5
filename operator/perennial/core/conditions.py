"""Conditions as kstatus, Argo CD and `kubectl wait` read them.

Rules: Ready is always present. Reconciling=True while the present generation is not reached. Stalled=True only when a
person must act. Never both. A condition that no longer applies is removed, not set to False, except Ready and the
permanent conditions of a kind.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from perennial.api.common.status import Condition
from perennial.core.times import format_time

Truth = Literal["True", "False", "Unknown"]

READY = "Ready"
RECONCILING = "Reconciling"
STALLED = "Stalled"

_MESSAGE_LIMIT = 1024


@dataclass(frozen=True)
class Wanted:
    """A condition that status should have, without its times."""

    type: str
    status: Truth
    reason: str
    message: str = ""


def ready(reason: str, message: str = "") -> tuple[Wanted, ...]:
    """Conditions of a resource that has reached its generation."""
    return (Wanted(READY, "True", reason, message),)


def reconciling(reason: str, message: str = "", *, serving: bool = False) -> tuple[Wanted, ...]:
    """Conditions of a resource that is being changed; `serving` keeps Ready True for what works meanwhile."""
    return (
        Wanted(READY, "True" if serving else "False", reason, message),
        Wanted(RECONCILING, "True", reason, message),
    )


def stalled(reason: str, message: str = "", *, serving: bool = False) -> tuple[Wanted, ...]:
    """Conditions of a resource that waits for a person to act."""
    return (
        Wanted(READY, "True" if serving else "False", reason, message),
        Wanted(STALLED, "True", reason, message),
    )


def settle(
    before: Iterable[Condition], wanted: Iterable[Wanted], generation: int, now: datetime
) -> tuple[Condition, ...]:
    """Complete the wanted conditions; a transition time changes only when the status changes."""
    known = {condition.type: condition for condition in before}
    return tuple(_settle_one(known.get(item.type), item, generation, now) for item in wanted)


def _settle_one(before: Condition | None, wanted: Wanted, generation: int, now: datetime) -> Condition:
    unchanged = before is not None and before.status == wanted.status
    since = before.last_transition_time if before is not None and unchanged else format_time(now)
    return Condition(
        type=wanted.type,
        status=wanted.status,
        observed_generation=generation,
        last_transition_time=since,
        reason=wanted.reason,
        message=shorten(wanted.message),
    )


def shorten(message: str, limit: int = _MESSAGE_LIMIT) -> str:
    """Truncate a message to the limit, with an ellipsis."""
    return message if len(message) <= limit else message[: limit - 1] + "…"


def find(conditions: Iterable[Condition], kind: str) -> Condition | None:
    """Find the condition of a type."""
    return next((condition for condition in conditions if condition.type == kind), None)
