"""Decides the next step of a TrainingJob. Pure: from what was observed, the settings and the clock.

A run's walk: due → current run in status, then its Job → Running → the Job ends → recorded, or repeated as the next
attempt. Every step starts from what is there, so it does not matter which step was the last one before a crash.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from perennial.api.config import OperatorConfig
from perennial.api.trainingjob import CurrentRun, TrainingJob, TrainingJobSpec, TrainingJobStatus, Trigger
from perennial.core.decision import Action, Apply, Create, Decision, EventNote
from perennial.core.kinds import JOB
from perennial.training import runs
from perennial.training.build import build_job
from perennial.training.classify import outcome_of
from perennial.training.clock import seconds_until
from perennial.training.housekeeping import leftovers, rivals
from perennial.training.observe import AttemptJob, Observed
from perennial.training.outcome import Outcome
from perennial.training.plan import Lineage, lineage_of, run_hash
from perennial.training.progress import Progress, progress_of, starting
from perennial.training.states import activity, with_state
from perennial.training.triggers import acknowledge, due, open_wishes, outdated_wishes

SUSPEND_MANAGER = "perennial-suspend"
"""Field manager of a Job's `spec.suspend`: a queue may own that field one day, and then nothing else has to change."""

_LOOK_AGAIN = 2.0
"""Seconds after which to look for a pod's last word; usually its event comes first."""

_UNDER_WAY = ("Running", "Publishing", "Fetching")


def decide(observed: Observed, config: OperatorConfig, now: datetime) -> Decision:
    """Return the next step toward the spec."""
    resource = observed.resource
    step = _Step(observed, config, now, run_hash(resource.spec))
    keep = resource.spec.history.runs
    status = runs.put_right(resource.metadata.name, resource.status, observed.jobs, keep, now)
    run = status.current_run
    return step.idle(status) if run is None else step.go_on(status, run)


@dataclass(frozen=True)
class _Current:
    """The run under way, and what is known of its present attempt."""

    run: CurrentRun
    job: AttemptJob | None
    """None: not made yet, or deleted."""
    lineage: Lineage | None
    """What the run runs on; None where its spec is gone and its Job cannot tell."""
    changed: bool
    """Whether the spec has changed since the run was started."""


@dataclass(frozen=True)
class _Step:
    """One look at one TrainingJob."""

    observed: Observed
    config: OperatorConfig
    now: datetime
    spec_hash: str

    @property
    def resource(self) -> TrainingJob:
        return self.observed.resource

    @property
    def spec(self) -> TrainingJobSpec:
        return self.observed.resource.spec

    def idle(self, status: TrainingJobStatus) -> Decision:
        """No run is under way: start one if one is due."""
        outdated = outdated_wishes(status, self.observed.wishes)
        events = [
            EventNote(
                "Normal",
                "VerdictSetAside",
                f"verdict {wish.verdict} of DriftMonitor {wish.monitor} speaks of a model that has been replaced since",
            )
            for wish in outdated
        ]
        return self._start_if_due(acknowledge(status, outdated), events)

    def go_on(self, status: TrainingJobStatus, run: CurrentRun) -> Decision:
        """A run is under way: see what became of its attempt."""
        current = self._current(run)
        if current.lineage is None:
            return self._replace(status, current)
        if current.job is None:
            return self._without_job(status, run)
        outcome = outcome_of(current.job.job, self.observed.pod_of(current.job.job), current.lineage, self.now)
        succeeded = outcome is not None and outcome.ending == "Succeeded"
        if current.changed and self.spec.on_change == "Replace" and not succeeded:
            return self._replace(status, current)
        if outcome is not None:
            return self._after(status, current, outcome)
        return self._alive(status, current, current.job)

    def _current(self, run: CurrentRun) -> _Current:
        found = self.observed.job_of(run.number, run.attempt)
        if run.spec_hash == self.spec_hash:
            return _Current(run, found, lineage_of(self.spec), changed=False)
        plan = found.plan if found is not None else None
        return _Current(run, found, plan.lineage if plan is not None else None, changed=True)

    # Starting.

    def _start_if_due(self, status: TrainingJobStatus, events: list[EventNote]) -> Decision:
        trigger = self._due(status)
        if trigger is None:
            return self._decision(status, events=events)
        if trigger.kind == "Drift":
            status = acknowledge(status, open_wishes(status, self.observed.wishes))  # one training answers them all
        meta = self.resource.metadata
        run = runs.start(
            meta.name,
            trigger,
            number=runs.next_number(status, self.observed.jobs),
            spec_hash=self.spec_hash,
            generation=meta.generation,
            now=self.now,
        )
        started = EventNote("Normal", "RunStarted", f"run {run.name} starts: {_why(trigger)}")
        return self._launch(runs.with_new(status, run), run, [*events, started])

    def _launch(self, status: TrainingJobStatus, run: CurrentRun, events: list[EventNote]) -> Decision:
        """Put the run on record, then make its Job; but while another Job of ours lives, only see to its end."""
        if rivals(self.observed.jobs, run):
            return self._decision(status, events=events, requeue=0, status_first=True)
        make = Create(build_job(self.resource, run, self.config))
        return self._decision(status, actions=(make,), events=events, status_first=True)

    def _without_job(self, status: TrainingJobStatus, run: CurrentRun) -> Decision:
        """The attempt has no Job: not yet, or it was deleted by hand. Either way it is made, under the same name.

        The same name makes this safe on a cache that is behind: a Job which exists after all is not made twice.
        """
        left = seconds_until(run.attempt_time, self.now)
        if self.spec.suspend or left > 0:
            return self._decision(status, requeue=None if self.spec.suspend else left)
        if activity(status) not in _UNDER_WAY:
            return self._launch(status, run, [])
        message = f"Job {run.job} was deleted while it ran; it is made again"
        again = run.model_copy(update={"disruptions": run.disruptions + 1, "last_failure": message})
        status = status.model_copy(update={"current_run": again})
        return self._launch(status, again, [EventNote("Warning", "JobDeleted", message)])

    # Watching.

    def _alive(self, status: TrainingJobStatus, current: _Current, found: AttemptJob) -> Decision:
        """The attempt goes on: keep `suspend` as the spec has it, and tell what the pod does."""
        if found.ended:
            return Decision(status=None, requeue_after=_LOOK_AGAIN)  # the pod's last word is under way
        if found.job.spec.suspend != self.spec.suspend:
            return self._decision(status, actions=(self._suspension(found),), progress=starting(current.run))
        if self.spec.suspend:
            return self._decision(status)
        progress = progress_of(current.run, self.observed.pod_of(found.job), self.now)
        if progress.hopeless is not None:
            return self._end(status, current, "Failed", progress.hopeless)
        events = []
        if progress.waiting and activity(status) != progress.reason:
            events.append(EventNote("Warning", progress.reason, progress.message))
        return self._decision(status, progress=progress, events=events, requeue=progress.look_after)

    def _suspension(self, found: AttemptJob) -> Apply:
        meta = found.job.metadata
        return Apply(
            {
                "apiVersion": JOB.api_version,
                "kind": JOB.kind,
                "metadata": {"name": meta.name, "namespace": meta.namespace},
                "spec": {"suspend": self.spec.suspend},
            },
            manager=SUSPEND_MANAGER,
        )

    # Ending.

    def _after(self, status: TrainingJobStatus, current: _Current, outcome: Outcome) -> Decision:
        """An attempt has ended: the next one, or the end of the run."""
        run, limit = current.run, self.spec.retry.limit
        if outcome.ending == "Succeeded":
            return self._end(status, current, "Succeeded", outcome)
        if outcome.ending == "Fatal":
            return self._end(status, current, "Failed", outcome)
        if outcome.ending == "Failed" and run.failures >= limit:
            note = f"{outcome.message} ({run.failures + 1} of {limit + 1} attempts have failed, see spec.retry.limit)"
            return self._end(status, current, "Failed", replace(outcome, message=note))
        if current.changed:
            return self._replace(status, current, outcome)  # the spec of the attempt to repeat is gone
        again = runs.repeat(self.resource.metadata.name, run, outcome, self.now)
        left = seconds_until(again.attempt_time, self.now)
        ended = f"attempt {run.attempt + 1} of run {run.name} has ended: {outcome.message}"
        return self._decision(
            status.model_copy(update={"current_run": again}),
            events=[EventNote("Warning", outcome.reason, f"{ended}; the next starts in {left:.0f} s")],
            requeue=left,
        )

    def _end(
        self, status: TrainingJobStatus, current: _Current, result: Literal["Succeeded", "Failed"], outcome: Outcome
    ) -> Decision:
        status = self._recorded(status, current, result, outcome)
        made = f" and published {outcome.published.digest}" if outcome.published else ""
        event = (
            EventNote("Normal", outcome.reason, f"run {current.run.name} succeeded{made}")
            if result == "Succeeded"
            else EventNote("Warning", outcome.reason, f"run {current.run.name} failed: {outcome.message}")
        )
        return self._decision(status, events=[event], requeue=None if self._due(status) is None else 0)

    def _replace(self, status: TrainingJobStatus, current: _Current, outcome: Outcome | None = None) -> Decision:
        """The spec has changed: record the run as replaced, and start the one that takes its place."""
        after = f", after: {outcome.message}" if outcome is not None else ""
        message = f"the spec has changed while run {current.run.name} was under way{after}"
        status = self._recorded(status, current, "Replaced", Outcome("Fatal", "SpecChanged", message))
        return self._start_if_due(status, [EventNote("Normal", "RunReplaced", message)])

    def _recorded(
        self, status: TrainingJobStatus, current: _Current, result: runs.Result, outcome: Outcome
    ) -> TrainingJobStatus:
        return runs.end(
            status,
            current.run,
            result,
            outcome,
            lineage=current.lineage,
            pod=self.observed.pod_of(current.job.job) if current.job is not None else None,
            keep=self.spec.history.runs,
            now=self.now,
        )

    def _due(self, status: TrainingJobStatus) -> Trigger | None:
        return None if self.spec.suspend else due(self.spec, self.spec_hash, status, self.observed.wishes)

    def _decision(
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
        told = with_state(self.resource, status, self.spec_hash, progress, self.now)
        spare = leftovers(self.observed.jobs, told)
        return Decision(
            status=told.dump(),
            actions=(*actions, *spare),
            events=tuple(events or ()),
            requeue_after=requeue,
            # What a Job alone still tells must be on record before the Job goes.
            status_first=status_first or bool(spare),
        )


def _why(trigger: Trigger) -> str:
    if trigger.kind == "Drift":
        return f"DriftMonitor {trigger.monitor} found drift (verdict {trigger.verdict})"
    return "it is the first" if trigger.kind == "Created" else "the spec has changed"
