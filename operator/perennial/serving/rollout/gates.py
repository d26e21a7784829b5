"""Where gates judge a candidate: before a step, during its hold, and before it receives all traffic."""

from dataclasses import dataclass
from datetime import datetime

from perennial.api.modeldeployment.rollout import Candidate
from perennial.core.problem import Problem
from perennial.serving.rollout.context import Context, State


@dataclass(frozen=True)
class GateHold:
    """What gates say of a candidate that may not go on."""

    problem: Problem
    """Reason and message; a fatal one aborts the rollout, another one waits."""
    wake: datetime | None = None
    """When they are to be asked again; None: when something changes."""


def gates_hold(_state: State, _candidate: Candidate, _context: Context) -> GateHold | None:
    """Ask the gates about a ready candidate; None lets it go on. There are none yet."""
    return None
