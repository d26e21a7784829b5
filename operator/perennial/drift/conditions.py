"""What the conditions of a DriftMonitor say, for kstatus, Argo CD and people.

`Ready` is about the monitor: whether it can judge. What it found is in `Drifted`, `Degraded`, `Unfair` and
`DataQuality`; a model that drifts is no fault of its monitor.
"""

from dataclasses import dataclass
from datetime import datetime

from perennial.api.driftmonitor.resource import DriftMonitor
from perennial.api.driftmonitor.status import FeatureScore, RetrainRequest, Verdict
from perennial.api.modeldeployment.models import OCI
from perennial.core.conditions import READY, Truth, Wanted, ready, reconciling, stalled
from perennial.core.failures import by_reason
from perennial.core.problem import Problem
from perennial.core.times import format_time
from perennial.core.waiting import waiting_problem
from perennial.drift import reasons
from perennial.drift.checks import checks_of
from perennial.drift.observe import Observed, ServedModel
from perennial.drift.retraining import WEEK, Account, is_wanted, spent_for

DRIFTED = "Drifted"
DATA_QUALITY = "DataQuality"
RETRAIN_REQUESTED = "RetrainRequested"
_WORST = 3


@dataclass(frozen=True)
class Context:
    """All that the conditions depend on."""

    observed: Observed
    known: Account
    model: ServedModel | None
    """What the target serves."""
    problem: Problem | None
    now: datetime

    @property
    def resource(self) -> DriftMonitor:
        """Return the resource."""
        return self.observed.resource

    @property
    def verdict(self) -> Verdict | None:
        """Return the newest verdict if it is about the model that serves now."""
        verdict = self.known.last_verdict
        if verdict is None or (self.model is not None and verdict.digest != self.model.digest):
            return None
        return verdict


def find_problem(observed: Observed) -> Problem | None:
    """Return why nothing can be compared, or None when all is there."""
    name = observed.resource.spec.target.model_deployment
    target = observed.target
    if target is None:
        return Problem(
            reasons.TARGET_NOT_FOUND,
            f"spec.target.modelDeployment: there is no ModelDeployment {name} in this namespace; create it",
        )
    if target.model is None:
        return Problem(
            reasons.TARGET_NOT_READY,
            f"ModelDeployment {name} serves no model yet; see kubectl describe modeldeployment {name}",
        )
    if observed.resource.spec.reference.uri is None and target.model.uri.startswith(OCI):
        return Problem(
            reasons.REFERENCE_UNKNOWN,
            f"ModelDeployment {name} serves a model from an image, which has no record of what it was trained on: set "
            "spec.reference.uri",
            fatal=True,
        )
    if observed.resource.spec.current.uri is None and target.capture is None:
        return Problem(
            reasons.CAPTURE_NOT_ENABLED,
            f"spec.current.window is to be compared, but ModelDeployment {name} captures nothing: set its "
            "spec.capture, or spec.current.uri here",
            fatal=True,
        )
    return None


def conditions_of(context: Context) -> tuple[Wanted, ...]:
    """Return all conditions that should hold."""
    return (
        *_main(context),
        _drifted(context),
        *checks_of(context.verdict, context.resource.spec),
        *_quality(context),
        *_retrain(context),
    )


def _main(context: Context) -> tuple[Wanted, ...]:
    """Return Ready, and Reconciling or Stalled with it."""
    problem, run = context.problem, context.known.last_run
    if problem is not None:
        return (stalled if problem.fatal else reconciling)(problem.reason, problem.message)
    if run is not None and run.result == "Failed":
        return _failing(context, run.reason or reasons.COMPARISON_FAILED, f"{run.job}: {run.message or ''}")
    cause = waiting_of(context.observed)
    if cause is not None:
        return (Wanted(READY, "False", cause.reason, f"a comparison cannot start: {cause.message}"),)
    return ready(*_well(context))


def waiting_of(observed: Observed) -> Problem | None:
    """Return what keeps a comparison's pod from starting."""
    pending = (pod for pod in observed.pods if pod.status.phase == "Pending")
    return next((cause for pod in pending if (cause := waiting_problem(pod)) is not None), None)


def _failing(context: Context, reason: str, message: str) -> tuple[Wanted, ...]:
    failure = by_reason(reason)
    for_person = reason in reasons.NEEDS_PERSON or (failure is not None and not failure.retriable)
    name = context.resource.metadata.name
    text = f"{message}. The schedule tries it again; so does kubectl create job --from=cronjob/{name} {name}-now"
    return stalled(reason, text) if for_person else (Wanted(READY, "False", reason, text),)


def _well(context: Context) -> tuple[str, str]:
    """Return reason and message of a monitor that can judge."""
    spec, run = context.resource.spec, context.known.last_run
    if spec.suspend:
        return reasons.SUSPENDED, "spec.suspend is true: no comparison starts"
    if run is None:
        return reasons.NO_VERDICT_YET, f"the first comparison comes with the schedule {spec.schedule}"
    if run.result == "NoVerdict":
        return reasons.NO_VERDICT, f"{run.job} could not judge ({run.reason}): {run.message}"
    return reasons.WATCHING, f"comparing with the schedule {spec.schedule}"


def _drifted(context: Context) -> Wanted:
    verdict = context.verdict
    if verdict is None:
        if context.known.last_verdict is None:
            return Wanted(DRIFTED, "Unknown", reasons.NO_VERDICT_YET, "no comparison has come to a verdict yet")
        text = "the newest verdict is about a model that serves no more"
        return Wanted(DRIFTED, "Unknown", reasons.NEW_MODEL, text)
    truth: Truth = "True" if verdict.drifted else "False"
    reason = reasons.DRIFT_DETECTED if verdict.drifted else reasons.NO_DRIFT
    return Wanted(DRIFTED, truth, reason, summary(verdict))


def summary(verdict: Verdict) -> str:
    """Return a verdict in one line, with the worst three columns."""
    worst = ", ".join(_score(item) for item in _worst(verdict))
    counts = f"{verdict.drifted_features} of {verdict.compared_features} columns drifted"
    report = f"; see {verdict.report_uri}" if verdict.report_uri else ""
    return f"{counts}{': ' if worst else ''}{worst}{report}"


def _worst(verdict: Verdict) -> tuple[FeatureScore, ...]:
    drifted = tuple(item for item in verdict.features if item.drifted)
    return (drifted or verdict.features)[:_WORST]


def _score(item: FeatureScore) -> str:
    return f"{item.name} ({item.method} {item.score}, threshold {item.threshold})"


def _quality(context: Context) -> tuple[Wanted, ...]:
    verdict = context.verdict
    if verdict is None:
        return ()
    if verdict.quality_findings:
        text = "; ".join(verdict.quality_findings)
        return (Wanted(DATA_QUALITY, "False", reasons.QUALITY_FINDINGS, text),)
    if context.resource.spec.checks.quality is None:
        return ()
    return (Wanted(DATA_QUALITY, "True", reasons.QUALITY_HOLDS, "nothing is wrong with the data itself"),)


def _retrain(context: Context) -> tuple[Wanted, ...]:
    """Return the standing request, which a newer model makes void, or what keeps one from being made."""
    wish = context.resource.spec.on_drift.retrain if context.resource.spec.on_drift else None
    asked = context.known.retrain
    if wish is None:
        return ()
    if is_wanted(context.known, wish) and spent_for(context.known, wish, context.now) > 0:
        over = format_time(context.known.retrains[-(wish.max_per_week or 1)] + WEEK)
        text = (
            f"training was asked for as often within seven days as spec.onDrift.retrain.maxPerWeek allows "
            f"({wish.max_per_week}): the next request is made at {over} if the finding lasts. Find out why training "
            "does not cure it, or raise the number"
        )
        return (Wanted(RETRAIN_REQUESTED, "False", reasons.RETRAIN_BUDGET_SPENT, text),)
    if asked is None or (context.model is not None and asked.digest not in (None, context.model.digest)):
        return ()
    text = f"verdict {asked.verdict} asked TrainingJob {wish.training_job} to run again{because(asked)}"
    first = asked.findings[0] if asked.findings else "Drift"
    return (Wanted(RETRAIN_REQUESTED, "True", reasons.PERSISTING[first], text),)


def because(asked: RetrainRequest) -> str:
    """Return what a request was made for, as the end of a sentence."""
    return f", because of {', '.join(asked.findings)}" if asked.findings else ""
