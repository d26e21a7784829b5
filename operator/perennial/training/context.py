"""One look at a TrainingJob: what every step of `decide` shares, from starting a run to recording its end."""

from dataclasses import dataclass
from datetime import datetime

from perennial.api.contract.settings import OperatorConfig
from perennial.api.trainingjob.resource import CurrentRun, TrainingJob, TrainingJobSpec, TrainingJobStatus, Trigger
from perennial.core.decision import Action, Apply, Create, Decision, Delete, EventNote
from perennial.core.kinds import CRON_JOB
from perennial.core.pod_options import refusal
from perennial.training.attempt.outcomes import AttemptOutcome, end_note
from perennial.training.attempt.phase import Progress
from perennial.training.conditions import with_state
from perennial.training.job.build import build_job
from perennial.training.job.plan import Lineage, lineage_of
from perennial.training.job.rendezvous import build_service
from perennial.training.observe import AttemptJob, Observed
from perennial.training.run import records, retention, schedule
from perennial.training.run.data_poll import NO_POLLS, Polls, poll_cron_job
from perennial.training.run.retention import leftovers, rivals
from perennial.training.run.triggers import Asks, answer, due, why
from perennial.training.sweep.trials import planned


@dataclass(frozen=True)
class Current:
    """The run under way, and what is known of its present attempt."""

    run: CurrentRun
    job: AttemptJob | None
    """None: not made yet, or deleted."""
    lineage: Lineage | None
    """What the run runs on; None where its spec is gone and its Job cannot tell."""
    changed: bool
    """Whether the spec has changed since the run was started."""


@dataclass(frozen=True)
class Context:
    """One look at one TrainingJob."""

    observed: Observed
    config: OperatorConfig
    now: datetime
    spec_hash: str
    polls: Polls = NO_POLLS
    """What the polls of the inputs say."""

    @property
    def resource(self) -> TrainingJob:
        """Return the TrainingJob."""
        return self.observed.resource

    @property
    def spec(self) -> TrainingJobSpec:
        """Return its spec."""
        return self.observed.resource.spec

    @property
    def _asks(self) -> Asks:
        return Asks(self.observed.requests, self.polls)

    def due(self, status: TrainingJobStatus) -> Trigger | None:
        """Return why a run should start now, or None."""
        if self.spec.suspend:
            return None
        return due(self.resource, self.spec_hash, status, self._asks, self.now)

    def start_if_due(self, status: TrainingJobStatus, events: list[EventNote]) -> Decision:
        """Start a run if one is due; else say when the clock will bring something."""
        trigger = self.due(status)
        if trigger is None:
            return self.decision(status, events=events, requeue=self.rest(status))
        status = answer(self.resource, status, trigger, self._asks, self.now)
        meta = self.resource.metadata
        run = records.start(
            meta.name,
            trigger,
            number=records.next_number(status, self.observed.jobs),
            spec_hash=self.spec_hash,
            generation=meta.generation,
            now=self.now,
        )
        events = [*events, EventNote("Normal", "RunStarted", f"run {run.name} starts: {why(trigger)}")]
        status = records.with_new(status, run)
        refused = refusal(self.spec, self.config.pods)
        if refused is not None:
            return self._refused(status, run, refused)
        if self.spec.sweep is not None:
            sweep = planned(self.spec.sweep, self.spec.seed, run.name)
            return self.decision(status.model_copy(update={"sweep": sweep}), events=events, requeue=0)
        return self.launch(status, run, events)

    def launch(self, status: TrainingJobStatus, run: CurrentRun, events: list[EventNote]) -> Decision:
        """Put the run on record, then make its Job; but while another Job of ours lives, only see to its end."""
        if rivals(self.observed.jobs, run):
            return self.decision(status, events=events, requeue=0, status_first=True)
        refused = refusal(self.spec, self.config.pods)
        if refused is not None:
            return self._refused(status, run, refused)
        make = Create(build_job(self.resource, run, self.config))
        return self.decision(status, actions=(make,), events=events, status_first=True)

    def _refused(self, status: TrainingJobStatus, run: CurrentRun, why: str) -> Decision:
        """End a run whose pods the settings forbid before it has any."""
        outcome = AttemptOutcome("Fatal", "NotAllowed", why)
        status = self.recorded(status, Current(run, None, lineage_of(self.spec), changed=False), "Failed", outcome)
        return self.decision(status, events=[end_note(run.name, "Failed", outcome)])

    def recorded(
        self, status: TrainingJobStatus, current: Current, result: records.Result, outcome: AttemptOutcome
    ) -> TrainingJobStatus:
        """Return the status with the run recorded as ended."""
        return records.end(
            status,
            current.run,
            result,
            outcome,
            lineage=current.lineage,
            pod=self.observed.pod_of(current.job.job) if current.job is not None else None,
            history=self.spec.history,
            now=self.now,
        )

    def decision(
        self,
        status: TrainingJobStatus,
        *,
        progress: Progress | None = None,
        actions: tuple[Action, ...] = (),
        events: list[EventNote] | None = None,
        requeue: float | None = None,
        status_first: bool = False,
    ) -> Decision:
        """Put the parts together; what no run needs any more is taken away along with any step."""
        told = with_state(self.resource, status, self.spec_hash, progress, self.now, polling=self.polls.error)
        spare = leftovers(self.observed.jobs, told, self.spec.history, self.now)
        return Decision(
            status=told.dump(),
            actions=(*self._network(), *actions, *self._polling(), *spare),
            events=tuple(events or ()),
            requeue_after=requeue,
            # What a Job alone still tells must be on record before the Job goes.
            status_first=status_first or bool(spare),
        )

    def _network(self) -> tuple[Action, ...]:
        """Return what keeps the Service by which several workers find each other."""
        wanted = build_service(self.resource)
        return (Apply(wanted),) if wanted is not None else ()

    def _polling(self) -> tuple[Action, ...]:
        """Return what keeps the CronJob that polls as the spec wants it."""
        wanted = poll_cron_job(self.resource, self.config) if refusal(self.spec, self.config.pods) is None else None
        if wanted is not None:
            return (Apply(wanted),)
        return tuple(Delete(CRON_JOB, meta.namespace, meta.name, meta.uid) for meta in self.observed.cron_jobs)

    def rest(self, status: TrainingJobStatus) -> float | None:
        """Return the seconds until time alone changes something: a schedule, or a run that is to be forgotten."""
        scheduled = None if self.spec.suspend else schedule.sleep(status, self.now)
        forgotten = retention.next_expiry(status, self.spec.history, self.now)
        return min((seconds for seconds in (scheduled, forgotten) if seconds is not None), default=None)
