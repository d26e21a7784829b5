"""Decides the next step of a TrainingJob. Pure: from what was observed, the settings and the clock.

A run's walk: due → current run in status, then its Job → Running → the Job ends → recorded, or repeated as the next
attempt. Every step starts from what is there, so it does not matter which step was the last one before a crash.
"""

from dataclasses import replace
from datetime import datetime

from perennial.api.contract.settings import OperatorConfig
from perennial.api.trainingjob.resource import CurrentRun, TrainingJobStatus
from perennial.api.trainingjob.sweep import SweepStatus
from perennial.core.clock import seconds_until, soonest
from perennial.core.decision import Decision, EventNote
from perennial.training.attempt.exit_codes import ruled
from perennial.training.attempt.outcomes import AttemptOutcome, end_note
from perennial.training.attempt.phase import progress_of, queued, starting
from perennial.training.attempt.progress import read_of, reported
from perennial.training.attempt.workers import is_failing, laggard, outcome_of_gang, stuck_after
from perennial.training.conditions import activity, poll_events
from perennial.training.context import Context, Current
from perennial.training.job.kueue import queue_of
from perennial.training.job.plan import lineage_of, run_hash
from perennial.training.job.suspend import suspension
from perennial.training.observe import AttemptJob, Observed
from perennial.training.run import records
from perennial.training.run.acceptance import objections
from perennial.training.run.data_poll import polls_of, with_baseline
from perennial.training.run.retention import rivals
from perennial.training.run.schedule import with_schedule
from perennial.training.run.triggers import acknowledge, outdated_requests
from perennial.training.sweep.advance import advance, parameters_of, trial_job
from perennial.training.sweep.results import attempts_of, outcome_of_sweep, trial_events
from perennial.training.sweep.trials import sweep_of

_LOOK_AGAIN = 2.0
"""Seconds after which to look for a pod's last word; usually its event comes first."""

_UNDER_WAY = ("Running", "Publishing", "Fetching", "Preparing")


def decide(observed: Observed, config: OperatorConfig, now: datetime) -> Decision:
    """Return the next step toward the spec."""
    resource = observed.resource
    polls = polls_of(resource.spec, observed.pods)
    step = _Step(observed, config, now, run_hash(resource.spec), polls)
    status = records.put_right(resource.metadata.name, resource.status, observed.jobs, resource.spec.history, now)
    status, events = with_schedule(resource.spec, status, now)
    status = with_baseline(status, polls)
    run = status.current_run
    found = step.idle(status) if run is None else step.go_on(status, run)
    return replace(found, events=(*events, *poll_events(resource.status, polls.error), *found.events))


class _Step(Context):
    """The walk of a run."""

    def idle(self, status: TrainingJobStatus) -> Decision:
        """No run is under way: start one if one is due."""
        outdated = outdated_requests(status, self.observed.requests)
        events = [
            EventNote(
                "Normal",
                "VerdictSetAside",
                f"verdict {request.verdict} of DriftMonitor {request.monitor} is about a model that was replaced",
            )
            for request in outdated
        ]
        return self.start_if_due(acknowledge(status, outdated), events)

    def go_on(self, status: TrainingJobStatus, run: CurrentRun) -> Decision:
        """A run is under way: see what became of its attempt."""
        sweep = sweep_of(self.spec, self.spec_hash, status)
        if sweep is not None:
            return self._sweep(status, run, sweep)
        current = self._current(run)
        if current.lineage is None:
            return self._replace(status, current)
        if current.job is None:
            return self._without_job(status, run)
        job = current.job.job
        outcome = outcome_of_gang(job, self.observed.pods_of(job), current.lineage, self.now)
        outcome = ruled(outcome, self.spec.retry)
        succeeded = outcome is not None and outcome.ending == "Succeeded"
        if current.changed and self.spec.on_change == "Replace" and not succeeded:
            return self._replace(status, current)
        if outcome is not None:
            return self._after(status, current, outcome)
        return self._alive(status, current, current.job)

    def _current(self, run: CurrentRun) -> Current:
        found = self.observed.job_of(run.number, run.attempt)
        if run.spec_hash == self.spec_hash:
            return Current(run, found, lineage_of(self.spec), changed=False)
        plan = found.plan if found is not None else None
        return Current(run, found, plan.lineage if plan is not None else None, changed=True)

    def _without_job(self, status: TrainingJobStatus, run: CurrentRun) -> Decision:
        """The attempt has no Job: not yet, or it was deleted by hand. Either way it is made, under the same name.

        The same name makes this safe on a cache that is behind: a Job which exists after all is not made twice.
        """
        left = seconds_until(run.attempt_time, self.now)
        if self.spec.suspend or left > 0:
            return self.decision(status, requeue=None if self.spec.suspend else left)
        if activity(status) not in _UNDER_WAY:
            return self.launch(status, run, [])
        message = f"Job {run.job} was deleted while it ran; it is made again"
        again = run.model_copy(update={"disruptions": run.disruptions + 1, "last_failure": message})
        status = status.model_copy(update={"current_run": again})
        return self.launch(status, again, [EventNote("Warning", "JobDeleted", message)])

    # A sweep.

    def _sweep(self, status: TrainingJobStatus, run: CurrentRun, sweep: SweepStatus) -> Decision:
        """Take every trial a step further; at the end, the best one's model is the run's."""
        changed = run.spec_hash != self.spec_hash
        if changed and self.spec.on_change == "Replace":
            return self._replace(status, Current(run, None, None, changed=True))
        if rivals(self.observed.jobs, run):
            return self.decision(status.model_copy(update={"sweep": sweep}), requeue=0, status_first=True)
        found = advance(self, run, sweep, changed=changed)
        status = status.model_copy(update={"sweep": found.sweep})
        events = list(trial_events(run, sweep, found.sweep))
        if found.over:
            ended = self._swept(status, run, found.sweep, changed=changed)
            return replace(ended, events=(*events, *ended.events))
        return self.decision(
            status,
            progress=found.progress,
            actions=found.actions,
            events=events,
            requeue=found.wait,
            status_first=bool(found.actions),
        )

    def _swept(self, status: TrainingJobStatus, run: CurrentRun, sweep: SweepStatus, *, changed: bool) -> Decision:
        best = next((item for item in sweep.trials if sweep.best and item.number == sweep.best.trial), None)
        run = run.model_copy(update={"attempt": attempts_of(sweep) - 1})
        job = trial_job(self, run, best) if best is not None else None
        lineage = job.plan.lineage if job is not None and job.plan is not None else None
        if lineage is None and best is not None and not changed:
            lineage = lineage_of(self.spec.model_copy(update={"parameters": parameters_of(self.resource, best)}))
        current = Current(run, job, lineage, changed)
        outcome = outcome_of_sweep(self.spec, sweep, lineage)
        if outcome.ending == "Succeeded":
            return self._judge(status, current, outcome)
        return self._end(status, current, "Failed", outcome)

    # Watching.

    def _alive(self, status: TrainingJobStatus, current: Current, found: AttemptJob) -> Decision:
        """The attempt goes on: keep `suspend` as the spec has it, and tell what the pod does."""
        if found.ended:
            return Decision(status=None, requeue_after=_LOOK_AGAIN)  # the pod's last word is under way
        queue = queue_of(found.job)
        if queue is not None:
            return self._in_queue(status, current, found, queue)
        if found.job.spec.suspend != self.spec.suspend:
            change = suspension(found.job, self.now, suspend=self.spec.suspend)
            return self.decision(status, actions=(change,), progress=starting(current.run))
        return self.decision(status) if self.spec.suspend else self._watch(status, current, found)

    def _in_queue(self, status: TrainingJobStatus, current: Current, found: AttemptJob, queue: str) -> Decision:
        """Only the queue starts and stops this Job; who suspends the resource gives its place up."""
        run = current.run
        if self.spec.suspend:
            # The Job goes as one that is no longer the current attempt's.
            again = records.set_aside(self.resource.metadata.name, run, self.now)
            return self.decision(status.model_copy(update={"current_run": again}), status_first=True)
        if not found.job.spec.suspend:
            return self._watch(status, current, found)
        if activity(status) not in _UNDER_WAY:
            return self.decision(status, progress=queued(run, queue))
        message = f"queue {queue} has evicted attempt {run.attempt + 1} of run {run.name}"
        run = run.model_copy(update={"disruptions": run.disruptions + 1, "last_failure": message})
        return self.decision(
            status.model_copy(update={"current_run": run}),
            progress=queued(run, queue),
            events=[EventNote("Warning", "Evicted", f"{message}; it goes on when there is quota again")],
        )

    def _watch(self, status: TrainingJobStatus, current: Current, found: AttemptJob) -> Decision:
        """Tell what the pod does."""
        pods = self.observed.pods_of(found.job)
        if is_failing(found.job):
            return Decision(status=None, requeue_after=stuck_after(pods, self.now))  # its other workers are ending
        slowest = laggard(found.job, pods)
        progress = progress_of(current.run, found.job, slowest, self.now)
        if progress.hopeless is not None:
            return self._end(status, current, "Failed", progress.hopeless)
        events = []
        if progress.waiting and activity(status) != progress.reason:
            events.append(EventNote("Warning", progress.reason, progress.message))
        read = read_of(self.spec, self.observed.pod_of(found.job)) if progress.running else None
        if read is None:
            return self.decision(
                status,
                progress=progress,
                events=events,
                requeue=soonest(progress.look_after, stuck_after(pods, self.now)),
            )
        run, left = reported(current.run, self.observed.answer(read.url), self.now)
        decision = self.decision(
            status.model_copy(update={"current_run": run}),
            progress=progress,
            events=events,
            requeue=soonest(left, progress.look_after, stuck_after(pods, self.now)),
        )
        return replace(decision, read=read)

    # Ending.

    def _after(self, status: TrainingJobStatus, current: Current, outcome: AttemptOutcome) -> Decision:
        """An attempt has ended: the next one, or the end of the run."""
        run, limit = current.run, self.spec.retry.limit
        if outcome.ending == "Succeeded":
            return self._judge(status, current, outcome)
        if outcome.ending == "Fatal":
            return self._end(status, current, "Failed", outcome)
        if outcome.ending == "Failed" and run.failures >= limit:
            note = f"{outcome.message} ({run.failures + 1} of {limit + 1} attempts have failed, see spec.retry.limit)"
            return self._end(status, current, "Failed", replace(outcome, message=note))
        if current.changed:
            return self._replace(status, current, outcome)  # the spec of the attempt to repeat is gone
        again = records.repeat(self.resource.metadata.name, run, outcome, self.now)
        left = seconds_until(again.attempt_time, self.now)
        ended = f"attempt {run.attempt + 1} of run {run.name} has ended: {outcome.message}"
        return self.decision(
            status.model_copy(update={"current_run": again}),
            events=[EventNote("Warning", outcome.reason, f"{ended}; the next starts in {left:.0f} s")],
            requeue=left,
        )

    def _judge(self, status: TrainingJobStatus, current: Current, outcome: AttemptOutcome) -> Decision:
        """A run has made its model: does it become the artifact?"""
        made = outcome.published
        wrong = objections(
            self.spec.acceptance,
            made.metrics if made else None,
            status.artifact.metrics if status.artifact else None,
        )
        if wrong is None:
            return self._end(status, current, "Succeeded", outcome)
        stays = f"the model of run {status.artifact.run} stays" if status.artifact else "there is no model yet"
        said = f"{wrong}; {stays}. Change the training, its data, or spec.acceptance"
        return self._end(status, current, "Rejected", replace(outcome, reason="Rejected", message=said))

    def _end(
        self, status: TrainingJobStatus, current: Current, result: records.Result, outcome: AttemptOutcome
    ) -> Decision:
        status = self.recorded(status, current, result, outcome)
        event = end_note(current.run.name, result, outcome)
        return self.decision(status, events=[event], requeue=self.rest(status) if self.due(status) is None else 0)

    def _replace(self, status: TrainingJobStatus, current: Current, outcome: AttemptOutcome | None = None) -> Decision:
        """The spec has changed: record the run as replaced, and start the one that takes its place."""
        after = f", after: {outcome.message}" if outcome is not None else ""
        message = f"the spec has changed while run {current.run.name} was under way{after}"
        status = self.recorded(status, current, "Replaced", AttemptOutcome("Fatal", "SpecChanged", message))
        return self.start_if_due(status, [EventNote("Normal", "RunReplaced", message)])
