"""What one step of a rollout sees, and what it gives. Neighbours: `walk` takes the step, `by_hand` asks people."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from perennial.api.modeldeployment.resource import Approval, Candidate, HistoryEntry, Revision
from perennial.core.decision import EventNote
from perennial.core.problem import Problem
from perennial.core.times import format_time
from perennial.serving import reasons
from perennial.serving.health import Health, assess
from perennial.serving.observe import Observed
from perennial.serving.revision import Shape

HISTORY_LIMIT = 10

Result = Literal["Promoted", "Failed", "Superseded", "RolledBack"]


@dataclass(frozen=True)
class Context:
    """What is seen and wanted while one step is decided."""

    observed: Observed
    shape: Shape | None
    target: Revision | None
    problem: Problem | None
    now: datetime

    @property
    def time(self) -> str:
        """Return the moment in the form that status holds."""
        return format_time(self.now)

    def health(self, revision: Revision | None) -> Health:
        """Return how a revision's pods fare."""
        if revision is None:
            return Health()
        return assess(self.observed.deployment(revision.name), self.observed.pods_of(revision.hash))

    def can_build(self, revision: Revision) -> bool:
        """Tell whether the revision's Deployment can be made from the present spec."""
        return self.shape is not None and self.shape.makes(revision)


@dataclass(frozen=True)
class State:
    """Which revision has which role, and what just happened."""

    stable: Revision | None = None
    candidate: Candidate | None = None
    previous: Revision | None = None
    history: tuple[HistoryEntry, ...] = ()
    events: tuple[EventNote, ...] = ()

    @property
    def under_way(self) -> Candidate | None:
        """Return the candidate unless it has failed."""
        return self.candidate if self.candidate is not None and self.candidate.phase == "Progressing" else None

    @property
    def failed(self) -> Candidate | None:
        """Return the candidate if it has failed."""
        return self.candidate if self.candidate is not None and self.candidate.phase == "Failed" else None

    @property
    def kept(self) -> Candidate | None:
        """Return the candidate while its pods stay: after failing, only if nothing else serves and it may recover."""
        failed = self.failed
        if failed is None:
            return self.under_way
        return failed if self.stable is None and failed.reason not in reasons.FINAL else None

    @property
    def addressed(self) -> Revision | None:
        """Return the revision that the Service selects: before anything serves, the one that will be first."""
        return self.stable or self.kept


def entry(
    revision: Revision, result: Result, reason: str | None, context: Context, approval: Approval | None = None
) -> tuple[HistoryEntry, ...]:
    """Return what the history says of a revision whose rollout has ended."""
    return (
        HistoryEntry(
            name=revision.name,
            digest=revision.digest,
            run=revision.run,
            chain=revision.chain,
            result=result,
            reason=reason,
            approval=approval,
            time=context.time,
        ),
    )
