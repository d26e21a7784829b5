"""The one decision about a DriftMonitor: pure, from what was observed to what is to be done."""

from datetime import datetime

from perennial.api.contract.settings import AgentConfigDefaults, OperatorConfig
from perennial.api.driftmonitor.resource import Retrain
from perennial.api.driftmonitor.status import DriftMonitorStatus, Finding
from perennial.core.conditions import READY, Wanted, find, settle
from perennial.core.decision import Action, Apply, Decision, EventNote
from perennial.core.times import format_time
from perennial.drift import reasons
from perennial.drift.build import SUSPEND_MANAGER, cron_job, suspension
from perennial.drift.checks import DEGRADED, LIKELY_DEGRADED, UNFAIR
from perennial.drift.comparisons import outcomes
from perennial.drift.conditions import DRIFTED, Context, because, conditions_of, find_problem
from perennial.drift.observe import Observed
from perennial.drift.retraining import account, ask, is_wanted, wait_for

_ENDED = {
    DRIFTED: "DriftEnded",
    DEGRADED: "DegradationEnded",
    LIKELY_DEGRADED: "LikelyDegradationEnded",
    UNFAIR: "UnfairnessEnded",
}
"""Conditions that tell of a finding, and the Event that tells of its end."""


def decide(observed: Observed, config: OperatorConfig, now: datetime) -> Decision:
    """Return one step toward the spec."""
    resource = observed.resource
    model = observed.target.model if observed.target else None
    digest = model.digest if model else None
    wish = _wish(observed)
    known = account(resource.status, outcomes(observed.jobs, observed.pods), digest, now, _counted(observed))
    context = Context(observed, ask(known, wish, now), model, find_problem(observed), now)
    wanted = conditions_of(context)
    waits = is_wanted(context.known, wish)
    return Decision(
        status=_status(context, wanted, now).dump(),
        actions=_actions(context, config.agent),
        events=_events(context, wanted),
        requeue_after=wait_for(context.known, wish, now) if waits else None,
    )


def _wish(observed: Observed) -> Retrain | None:
    """Return the training that drift asks for; a suspended monitor asks for none."""
    spec = observed.resource.spec
    return spec.on_drift.retrain if spec.on_drift is not None and not spec.suspend else None


def _counted(observed: Observed) -> tuple[Finding, ...]:
    retrain = observed.resource.spec.on_drift.retrain if observed.resource.spec.on_drift is not None else None
    return retrain.findings if retrain is not None else ("Drift",)


def _actions(context: Context, agent: AgentConfigDefaults) -> tuple[Action, ...]:
    if context.problem is None and context.model is not None and context.observed.target is not None:
        return (Apply(cron_job(context.resource, context.model, context.observed.target.capture, agent)),)
    # Nothing can be compared. Its Jobs are the record of what was, so the CronJob stays, but starts nothing.
    return (Apply(suspension(context.resource), manager=SUSPEND_MANAGER),) if context.observed.scheduled else ()


def _status(context: Context, wanted: tuple[Wanted, ...], now: datetime) -> DriftMonitorStatus:
    resource, known = context.resource, context.known
    generation = resource.metadata.generation
    newest = known.last_verdict.report_uri if known.last_verdict else None
    return DriftMonitorStatus(
        observed_generation=generation,
        conditions=settle(resource.status.conditions, wanted, generation, now),
        phase=_phase(context, wanted),
        last_run=known.last_run,
        last_verdict=known.last_verdict,
        consecutive=known.consecutive,
        retrain=known.retrain,
        retrains=tuple(format_time(moment) for moment in known.retrains) or None,
        report_uri=newest or resource.status.report_uri,
    )


def _phase(context: Context, wanted: tuple[Wanted, ...]) -> str:
    if context.problem is not None:
        return "Pending"
    if _one(wanted, READY).status == "False":
        return "Failing"
    found = {item.type for item in wanted if item.status == "True"}
    return next((kind for kind in _ENDED if kind in found), "Watching")


def _one(wanted: tuple[Wanted, ...], kind: str) -> Wanted:
    return next(item for item in wanted if item.type == kind)


def _events(context: Context, wanted: tuple[Wanted, ...]) -> tuple[EventNote, ...]:
    changes = (note for kind, ended in _ENDED.items() for note in _of_finding(kind, ended, context, wanted))
    return (*changes, *_of_retrain(context), *_of_problem(context, wanted))


def _of_finding(kind: str, ended: str, context: Context, wanted: tuple[Wanted, ...]) -> tuple[EventNote, ...]:
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


def _of_retrain(context: Context) -> tuple[EventNote, ...]:
    before, after = context.resource.status.retrain, context.known.retrain
    spec = context.resource.spec
    if after is None or after == before or spec.on_drift is None or spec.on_drift.retrain is None:
        return ()
    job = spec.on_drift.retrain.training_job
    said = f"verdict {after.verdict} asks TrainingJob {job} to run again{because(after)}"
    return (EventNote("Normal", "RetrainRequested", said),)


def _of_problem(context: Context, wanted: tuple[Wanted, ...]) -> tuple[EventNote, ...]:
    """Return Events about failed comparisons, or else about a new reason for not being ready."""
    failed = tuple(
        EventNote("Warning", reasons.COMPARISON_FAILED, f"{run.job}: {run.reason}: {run.message}")
        for run in context.known.failures
    )
    ready, before = _one(wanted, READY), find(context.resource.status.conditions, READY)
    told = failed or ready.status == "True" or ready.reason in reasons.QUIET
    if told or (before is not None and before.reason == ready.reason):
        return failed
    return (EventNote("Warning", ready.reason, ready.message),)
