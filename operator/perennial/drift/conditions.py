"""Conditions of a DriftMonitor, readable by kstatus and Argo CD.

`Ready` is about the monitor itself: whether comparisons run. Findings are in `Drifted`, `Degraded`, `LikelyDegraded`,
`Unfair`, `SegmentDeviates`, `PredictionDrift`, `JointDrift` and `DataQuality` and do not affect `Ready`.
"""

from dataclasses import dataclass
from datetime import datetime

from perennial.api.driftmonitor.resource import DriftMonitor
from perennial.api.driftmonitor.status import FeatureScore, RetrainRequest, Verdict, p_value_text
from perennial.api.modeldeployment.models import OCI
from perennial.core.conditions import READY, Truth, Wanted, ready, reconciling, stalled
from perennial.core.failures import by_reason
from perennial.core.problem import Problem
from perennial.core.times import format_time
from perennial.core.waiting import waiting_problem
from perennial.drift import finding_reasons, reasons
from perennial.drift.checks import checks_of
from perennial.drift.observe import Observed, ServedModel
from perennial.drift.retraining import WEEK, VerdictHistory, budget_wait, is_due
from perennial.drift.segments import segments_of

DRIFTED = "Drifted"
DATA_QUALITY = "DataQuality"
RETRAIN_REQUESTED = "RetrainRequested"
_WORST = 3
_WITHOUT_DATA = 3
"""Comparisons in a row without data after which the monitor is not ready: the model is not monitored."""


@dataclass(frozen=True)
class Context:
    """Input of the functions that build conditions, status and events."""

    observed: Observed
    history: VerdictHistory
    model: ServedModel | None
    """Model that the target serves."""
    problem: Problem | None
    now: datetime
    without_data: int = 0
    """Newest comparisons in a row without a verdict for lack of data, as far as their Jobs are kept."""

    @property
    def resource(self) -> DriftMonitor:
        """The DriftMonitor under reconciliation."""
        return self.observed.resource

    @property
    def verdict(self) -> Verdict | None:
        """The newest verdict, if it is about the model that is served now."""
        verdict = self.history.last_verdict
        if verdict is None or (self.model is not None and verdict.digest != self.model.digest):
            return None
        return verdict


def find_problem(observed: Observed) -> Problem | None:
    """Return what prevents comparisons, if anything does."""
    name = observed.resource.spec.target.model_deployment
    target = observed.target
    if target is None:
        return Problem(
            reasons.TARGET_NOT_FOUND,
            f"spec.target.modelDeployment: ModelDeployment {name} not found in this namespace; create it",
        )
    if target.model is None and observed.resource.spec.target.revision == "Candidate":
        return Problem(reasons.NO_CANDIDATE, f"no candidate of ModelDeployment {name} answers requests now; waiting")
    if target.model is None:
        return Problem(
            reasons.TARGET_NOT_READY,
            f"ModelDeployment {name} serves no model yet; see kubectl describe modeldeployment {name}",
        )
    if observed.resource.spec.reference.uri is None and target.model.uri.startswith(OCI):
        return Problem(
            reasons.REFERENCE_UNKNOWN,
            f"ModelDeployment {name} serves a model from an image, which does not record its training data: set "
            "spec.reference.uri",
            fatal=True,
        )
    if observed.resource.spec.current.uri is None and target.capture is None:
        return Problem(
            reasons.CAPTURE_NOT_ENABLED,
            f"spec.current.{'calendar' if observed.resource.spec.current.calendar else 'window'} needs captured "
            f"requests, but ModelDeployment {name} captures none: set its "
            "spec.capture, or set spec.current.uri here",
            fatal=True,
        )
    return None


def conditions_of(context: Context) -> tuple[Wanted, ...]:
    """Build all conditions."""
    return (
        *_ready(context),
        _drifted(context),
        *checks_of(context.verdict, context.resource.spec),
        *segments_of(context.verdict, context.resource.spec),
        *_quality(context),
        *_retrain(context),
    )


def _ready(context: Context) -> tuple[Wanted, ...]:
    """Build Ready and, with it, Reconciling or Stalled."""
    problem, run = context.problem, context.history.last_run
    if problem is not None and problem.reason == reasons.NO_CANDIDATE:
        return ready(problem.reason, problem.message)
    if problem is not None:
        return (stalled if problem.fatal else reconciling)(problem.reason, problem.message)
    if run is not None and run.result == "Failed":
        return _failing(context, run.reason or reasons.COMPARISON_FAILED, f"{run.job}: {run.message or ''}")
    if run is not None and run.result == "NoVerdict" and context.without_data >= _WITHOUT_DATA:
        text = f"the newest {_WITHOUT_DATA} comparisons or more gave no verdict ({run.reason}): {run.message}"
        return (Wanted(READY, "False", reasons.NO_DATA, text),)
    cause = waiting_of(context.observed)
    if cause is not None:
        return (Wanted(READY, "False", cause.reason, f"comparison cannot start: {cause.message}"),)
    return ready(*_ready_reason(context))


def waiting_of(observed: Observed) -> Problem | None:
    """Return why a pending pod of a comparison does not start."""
    pending = (pod for pod in observed.pods if pod.status.phase == "Pending")
    return next((cause for pod in pending if (cause := waiting_problem(pod)) is not None), None)


def _failing(context: Context, reason: str, message: str) -> tuple[Wanted, ...]:
    failure = by_reason(reason)
    needs_person = reason in reasons.NEEDS_PERSON or (failure is not None and not failure.retriable)
    name = context.resource.metadata.name
    if reason == reasons.VERDICT_LOST:
        return (Wanted(READY, "False", reason, message),)
    text = f"{message}. Retried on schedule, or now with: kubectl create job --from=cronjob/{name} {name}-now"
    return stalled(reason, text) if needs_person else (Wanted(READY, "False", reason, text),)


def _ready_reason(context: Context) -> tuple[str, str]:
    """Reason and message of a monitor whose comparisons run."""
    spec, run = context.resource.spec, context.history.last_run
    if spec.suspend:
        return reasons.SUSPENDED, "spec.suspend is true: no comparison starts"
    if run is None:
        return reasons.NO_VERDICT_YET, f"waiting for the first comparison, schedule {spec.schedule}"
    if run.result == "NoVerdict":
        return reasons.NO_VERDICT, f"the newest comparison gave no verdict ({run.reason}): {run.message}"
    return reasons.WATCHING, f"comparing on schedule {spec.schedule}"


def _drifted(context: Context) -> Wanted:
    verdict = context.verdict
    if verdict is None:
        if context.history.last_verdict is None:
            return Wanted(DRIFTED, "Unknown", reasons.NO_VERDICT_YET, "no comparison has given a verdict yet")
        text = "the newest verdict is about a model that is no longer served"
        return Wanted(DRIFTED, "Unknown", reasons.NEW_MODEL, text)
    truth: Truth = "True" if verdict.drifted else "False"
    reason = finding_reasons.DRIFT_DETECTED if verdict.drifted else finding_reasons.NO_DRIFT
    return Wanted(DRIFTED, truth, reason, summary(verdict))


def summary(verdict: Verdict) -> str:
    """One line: counts, the three columns with the most drift, and the direction if it changes."""
    worst = ", ".join(_score(item) for item in _worst(verdict))
    window = f" in {verdict.window.name}" if verdict.window else ""
    counts = f"{verdict.drifted_features} of {verdict.compared_features} columns drifted{window}"
    passed_over = f"; {verdict.passed_over} files passed over" if verdict.passed_over else ""
    trend = f"; drift is {verdict.trend.lower()}" if verdict.trend in ("Rising", "Falling") else ""
    report = f"; see {verdict.report_uri}" if verdict.report_uri else ""
    return f"{counts}{': ' if worst else ''}{worst}{trend}{passed_over}{report}"


def _worst(verdict: Verdict) -> tuple[FeatureScore, ...]:
    drifted = tuple(item for item in verdict.features if item.drifted)
    return (drifted or verdict.features)[:_WORST]


def _score(item: FeatureScore) -> str:
    figure = item.score if item.p is None else p_value_text(item.p)
    return f"{item.name} {item.method} {figure} (threshold {item.threshold})"


def _quality(context: Context) -> tuple[Wanted, ...]:
    verdict = context.verdict
    if verdict is None:
        return ()
    if verdict.quality_findings:
        text = "; ".join(verdict.quality_findings)
        return (Wanted(DATA_QUALITY, "False", finding_reasons.QUALITY_FINDINGS, text),)
    if context.resource.spec.checks.quality is None:
        return ()
    return (Wanted(DATA_QUALITY, "True", finding_reasons.QUALITY_HOLDS, "no data quality problems found"),)


def _retrain(context: Context) -> tuple[Wanted, ...]:
    """Build RetrainRequested. A request lapses once another model is served."""
    policy = context.resource.spec.on_drift.retrain if context.resource.spec.on_drift else None
    request = context.history.retrain
    if policy is None:
        return ()
    if is_due(context.history, policy) and budget_wait(context.history, policy, context.now) > 0:
        over = format_time(context.history.retrains[-(policy.max_per_week or 1)] + WEEK)
        text = (
            f"spec.onDrift.retrain.maxPerWeek ({policy.max_per_week}) reached: the next request follows at {over} if "
            "the finding persists. Find out why retraining does not help, or raise the limit"
        )
        return (Wanted(RETRAIN_REQUESTED, "False", finding_reasons.RETRAIN_BUDGET_SPENT, text),)
    if request is None or (context.model is not None and request.digest not in (None, context.model.digest)):
        return ()
    text = f"verdict {request.verdict} requested a run of TrainingJob {policy.training_job}{findings_text(request)}"
    first = request.findings[0] if request.findings else "Drift"
    return (Wanted(RETRAIN_REQUESTED, "True", finding_reasons.PERSISTING[first], text),)


def findings_text(request: RetrainRequest) -> str:
    """Findings that led to a request, as the end of a sentence."""
    return f", because of {', '.join(request.findings)}" if request.findings else ""
