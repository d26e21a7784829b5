"""The input of a decision: everything that its functions read, gathered once in `decide`."""

from dataclasses import dataclass, replace
from datetime import datetime

from perennial.api.contract.settings import OperatorConfig
from perennial.api.trainingjob.policies import DataSeen
from perennial.api.trainingjob.resource import CurrentRun, TrainingJob, TrainingJobSpec
from perennial.training.job.plan import Lineage, run_hash, with_policies
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
    since: str | None = None
    """When the earlier of these two polls ended."""
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


def in_run(context: Context, run: CurrentRun) -> Context:
    """Return the context with the spec that the run was started with, so that every attempt of it trains the same.

    Policies such as `retry` and `suspend` are the present ones. The context stays as it is if the spec has not
    changed, if the change replaces the run, or if no Job of the run tells its spec any more.
    """
    if run.spec_hash == context.spec_hash or context.spec.on_change == "Replace":
        return context
    own = _spec_of(context.observed.jobs, run)
    if own is None:
        return context
    resource = context.resource.model_copy(update={"spec": with_policies(own, context.spec)})
    return replace(context, observed=replace(context.observed, resource=resource), spec_hash=run.spec_hash)


def _spec_of(jobs: tuple[AttemptJob, ...], run: CurrentRun) -> TrainingJobSpec | None:
    """Return the spec in the plan on a Job of the run; a plan that does not have the run's hash was edited."""
    plans = (item.plan for item in jobs if item.number == run.number)
    specs = (plan.spec for plan in plans if plan is not None and plan.spec is not None)
    return next((spec for spec in specs if run_hash(spec) == run.spec_hash), None)


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
