"""Decides the next step of a DriftMonitor: a pure function of the observed state, the configuration and the time."""

from datetime import datetime
from itertools import pairwise, takewhile

from perennial.api.contract.settings import AgentConfigDefaults, OperatorConfig
from perennial.api.driftmonitor.actions import Retrain
from perennial.api.driftmonitor.status import DriftMonitorStatus, Finding
from perennial.core.conditions import READY, Wanted, find, settle
from perennial.core.decision import Action, Apply, Create, Decision, EventNote
from perennial.core.pod_options import refused_account
from perennial.core.problem import Problem
from perennial.core.repeats import is_repeated
from perennial.core.times import format_time
from perennial.drift import finding_reasons, reasons
from perennial.drift.build import SUSPEND_MANAGER, cron_job, repeated_job, suspension
from perennial.drift.checks import DEGRADED, LIKELY_DEGRADED, MULTIVARIATE_DRIFT, PREDICTION_DRIFT, UNFAIR
from perennial.drift.comparisons import ComparisonResult, comparison_results
from perennial.drift.conditions import DRIFTED, Context, conditions_of, find_problem, findings_text
from perennial.drift.observe import Observed
from perennial.drift.retraining import is_due, request_training, request_wait, update_history
from perennial.drift.segments import SEGMENT_DEVIATES

_ENDED = {
    DRIFTED: "DriftEnded",
    DEGRADED: "DegradationEnded",
    LIKELY_DEGRADED: "LikelyDegradationEnded",
    UNFAIR: "UnfairnessEnded",
    SEGMENT_DEVIATES: "SegmentDeviationEnded",
    PREDICTION_DRIFT: "PredictionDriftEnded",
    MULTIVARIATE_DRIFT: "JointDriftEnded",
}
"""Conditions of findings, and the reason of the Event emitted when each ends."""


def decide(observed: Observed, config: OperatorConfig, now: datetime) -> Decision:
    """Return status, actions and events of one reconcile."""
    resource = observed.resource
    model = observed.target.model if observed.target else None
    digest = model.digest if model else None
    policy = _retrain_policy(observed)
    results = comparison_results(observed.jobs, observed.pods, now)
    history = update_history(resource.status, results, digest, now, _counted_findings(observed))
    requested = request_training(history, policy, now)
    context = Context(
        observed, requested, model, _problem_of(observed, config), now, without_data=_without_data(results)
    )
    wanted = conditions_of(context)
    waits = is_due(context.history, policy)
    return Decision(
        status=_status(context, wanted, now).dump(),
        actions=_actions(context, config.agent),
        events=_events(context, wanted),
        requeue_after=request_wait(context.history, policy, now) if waits else None,
    )


def _problem_of(observed: Observed, config: OperatorConfig) -> Problem | None:
    refused = refused_account(observed.resource.spec.service_account_name, config.pods)
    return Problem(reasons.NOT_ALLOWED, refused, fatal=True) if refused is not None else find_problem(observed)


def _retrain_policy(observed: Observed) -> Retrain | None:
    """Return spec.onDrift.retrain; a suspended monitor requests no training."""
    spec = observed.resource.spec
    return spec.on_drift.retrain if spec.on_drift is not None and not spec.suspend else None


def _counted_findings(observed: Observed) -> tuple[Finding, ...]:
    retrain = observed.resource.spec.on_drift.retrain if observed.resource.spec.on_drift is not None else None
    return retrain.findings if retrain is not None else ("Drift",)


def _actions(context: Context, agent: AgentConfigDefaults) -> tuple[Action, ...]:
    target = context.observed.target
    if context.problem is None and context.model is not None and target is not None:
        scheduled = Apply(cron_job(context.resource, context.model, target.capture, agent))
        lost = _lost_comparison(context)
        if lost is None:
            return (scheduled,)
        return (scheduled, Create(repeated_job(context.resource, context.model, target.capture, agent, lost)))
    # The CronJob is suspended, not deleted: deleting it would delete the Jobs that hold earlier results.
    return (Apply(suspension(context.resource), manager=SUSPEND_MANAGER),) if context.observed.scheduled else ()


def _lost_comparison(context: Context) -> str | None:
    """Name of the newest comparison if its verdict was lost and it is to be repeated, else None."""
    run = context.history.last_run
    if run is None or run.reason != reasons.VERDICT_LOST or context.resource.spec.suspend:
        return None
    return None if is_repeated(run.job) else run.job


def _without_data(results: tuple[ComparisonResult, ...]) -> int:
    """Number of the newest comparisons in a row that had too little data for a verdict."""
    return sum(1 for _ in takewhile(lambda result: result.run.result == "NoVerdict", reversed(results)))


def _status(context: Context, wanted: tuple[Wanted, ...], now: datetime) -> DriftMonitorStatus:
    resource, history = context.resource, context.history
    generation = resource.metadata.generation
    newest = history.last_verdict.report_uri if history.last_verdict else None
    return DriftMonitorStatus(
        observed_generation=generation,
        conditions=settle(resource.status.conditions, wanted, generation, now),
        phase=_phase(context, wanted),
        last_run=history.last_run,
        last_verdict=history.last_verdict,
        consecutive=history.consecutive,
        retrain=history.retrain,
        retrains=tuple(format_time(moment) for moment in history.retrains) or None,
        report_uri=newest or resource.status.report_uri,
    )


def _phase(context: Context, wanted: tuple[Wanted, ...]) -> str:
    if context.problem is not None:
        return "Pending"
    if _condition(wanted, READY).status == "False":
        return "Failing"
    found = {item.type for item in wanted if item.status == "True"}
    return next((kind for kind in _ENDED if kind in found), "Watching")


def _condition(wanted: tuple[Wanted, ...], kind: str) -> Wanted:
    return next(item for item in wanted if item.type == kind)


def _events(context: Context, wanted: tuple[Wanted, ...]) -> tuple[EventNote, ...]:
    changes = (note for kind, ended in _ENDED.items() for note in _finding_events(kind, ended, context, wanted))
    return (*changes, *_reference_events(context), *_retrain_events(context), *_problem_events(context, wanted))


def _finding_events(kind: str, ended: str, context: Context, wanted: tuple[Wanted, ...]) -> tuple[EventNote, ...]:
    after = next((item for item in wanted if item.type == kind), None)
    before = find(context.resource.status.conditions, kind)
    was = before.status if before is not None else "Unknown"
    if after is None:
        return ()
    if after.status == "True" and was != "True":
        return (EventNote("Warning", after.reason, after.message),)
    if after.status == "False" and was == "True":
        return (EventNote("Normal", ended, after.message),)
    return ()


def _reference_events(context: Context) -> tuple[EventNote, ...]:
    """An Event for each verdict whose reference has other files than that of the verdict before."""
    if context.resource.spec.reference.uri is None:
        return ()
    verdicts = (context.resource.status.last_verdict, *context.history.verdicts)
    return tuple(
        EventNote(
            "Warning",
            finding_reasons.REFERENCE_DIFFERS,
            f"the reference of verdict {after.id} has the digest {after.reference_digest}; that of {before.id} had "
            f"{before.reference_digest}: scores before and after are not comparable",
        )
        for before, after in pairwise(verdicts)
        if before is not None
        and after is not None
        and None not in (before.reference_digest, after.reference_digest)
        and before.reference_digest != after.reference_digest
    )


def _retrain_events(context: Context) -> tuple[EventNote, ...]:
    before, after = context.resource.status.retrain, context.history.retrain
    spec = context.resource.spec
    if after is None or after == before or spec.on_drift is None or spec.on_drift.retrain is None:
        return ()
    job = spec.on_drift.retrain.training_job
    text = f"verdict {after.verdict} requests a run of TrainingJob {job}{findings_text(after)}"
    return (EventNote("Normal", "RetrainRequested", text),)


def _problem_events(context: Context, wanted: tuple[Wanted, ...]) -> tuple[EventNote, ...]:
    """Events for failed comparisons, or otherwise for a new reason of Ready=False."""
    failed = tuple(
        EventNote("Warning", reasons.COMPARISON_FAILED, f"{run.job}: {run.reason}: {run.message}")
        for run in context.history.failures
    )
    ready, before = _condition(wanted, READY), find(context.resource.status.conditions, READY)
    covered = failed or ready.status == "True" or ready.reason in reasons.QUIET
    if covered or (before is not None and before.reason == ready.reason):
        return failed
    return (EventNote("Warning", ready.reason, ready.message),)
