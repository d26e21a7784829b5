"""The input of a decision: everything that its functions read, gathered once in `decide`."""

from dataclasses import dataclass
from datetime import datetime

from perennial.api.contract.settings import OperatorConfig
from perennial.api.trainingjob.policies import DataSeen
from perennial.api.trainingjob.resource import CurrentRun, TrainingJob, TrainingJobSpec
from perennial.training.job.plan import Lineage
from perennial.training.observe import AttemptJob, Observed


@dataclass(frozen=True)
class PollError:
    """Why the newest poll failed, as a condition's reason and message."""

    reason: str
    message: str


@dataclass(frozen=True)
class Polls:
    """Results of the pods that list the inputs."""

    settled: DataSeen | None = None
    """Set when the two newest polls agree; None while data changes and before the second poll."""
    error: PollError | None = None


NO_POLLS = Polls()


@dataclass(frozen=True)
class Context:
    """One TrainingJob, what was observed around it, the settings and the time."""

    observed: Observed
    config: OperatorConfig
    now: datetime
    spec_hash: str
    """Hash of the part of the spec that shapes a run: `job.plan.run_hash`."""
    polls: Polls = NO_POLLS

    @property
    def resource(self) -> TrainingJob:
        """The TrainingJob under decision."""
        return self.observed.resource

    @property
    def spec(self) -> TrainingJobSpec:
        """The TrainingJob's spec."""
        return self.observed.resource.spec


@dataclass(frozen=True)
class ActiveRun:
    """The current run and its present attempt."""

    run: CurrentRun
    job: AttemptJob | None
    """None if it does not exist yet, or was deleted."""
    lineage: Lineage | None
    """Inputs, image and parameters of the run; None if the spec has changed and the Job does not hold them."""
    changed: bool
    """Whether the spec has changed since the run started."""
