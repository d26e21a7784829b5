"""The result of one decision function, before conditions and children are added to it."""

from collections.abc import Mapping
from dataclasses import dataclass

from perennial.api.trainingjob.resource import CurrentRun, TrainingJobSpec, TrainingJobStatus
from perennial.core.decision import Action, EventNote
from perennial.core.reads import Read
from perennial.training.attempt.phase import Progress


@dataclass(frozen=True)
class NewAttempt:
    """An attempt whose Job has to be created."""

    run: CurrentRun
    spec: TrainingJobSpec
    """The spec of the run."""
    parameters: Mapping[str, str] | None = None
    """A trial's parameters, in addition to those of the spec."""


@dataclass(frozen=True)
class Step:
    """One step of a TrainingJob. `decide` completes it with conditions, children and deletions."""

    status: TrainingJobStatus | None
    """Next status without its conditions; None leaves status and children as they are."""
    progress: Progress | None = None
    """Progress of the current run, from which its conditions follow; None if nothing is known of it yet."""
    new_attempts: tuple[NewAttempt, ...] = ()
    actions: tuple[Action, ...] = ()
    """Changes to existing Jobs."""
    events: tuple[EventNote, ...] = ()
    requeue_after: float | None = None
    status_first: bool = False
    """Write status before creating or deleting Jobs: the intention must be on record before a child exists."""
    read: Read | None = None
