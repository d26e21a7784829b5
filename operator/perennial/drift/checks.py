"""The conditions of checks beside drift of single columns, each present only if there are checks of its kind."""

from dataclasses import dataclass

from perennial.api.driftmonitor.checks import CheckKind, CheckScore
from perennial.api.driftmonitor.resource import DriftMonitorSpec
from perennial.api.driftmonitor.status import Verdict
from perennial.core.conditions import Truth, Wanted, shorten
from perennial.drift import finding_reasons, reasons

DEGRADED = "Degraded"
LIKELY_DEGRADED = "LikelyDegraded"
UNFAIR = "Unfair"
PREDICTION_DRIFT = "PredictionDrift"
MULTIVARIATE_DRIFT = "JointDrift"
_SHOWN = 3


@dataclass(frozen=True)
class _Kind:
    """One kind of check, with the type and reasons of its condition."""

    check: CheckKind
    condition: str
    failed_reason: str
    passed_reason: str


_PERFORMANCE = _Kind(
    "performance", DEGRADED, finding_reasons.PERFORMANCE_BEYOND_LIMIT, finding_reasons.PERFORMANCE_HOLDS
)
_ESTIMATED = _Kind("estimated", LIKELY_DEGRADED, finding_reasons.ESTIMATE_BEYOND_LIMIT, finding_reasons.ESTIMATE_HOLDS)
_FAIRNESS = _Kind("fairness", UNFAIR, finding_reasons.GROUPS_TREATED_DIFFERENTLY, finding_reasons.FAIRNESS_HOLDS)
_PREDICTIONS = _Kind(
    "predictions", PREDICTION_DRIFT, finding_reasons.PREDICTIONS_DRIFTED, finding_reasons.PREDICTIONS_HOLD
)
_MULTIVARIATE = _Kind(
    "multivariate", MULTIVARIATE_DRIFT, finding_reasons.COLUMNS_DRIFTED_TOGETHER, finding_reasons.COLUMNS_HOLD_TOGETHER
)


def checks_of(verdict: Verdict | None, spec: DriftMonitorSpec) -> tuple[Wanted, ...]:
    """Build a condition for each kind of checks in the spec, and for predictions if the verdict has judged them.

    Args:
        verdict: the newest verdict about the model that is served, if there is one.
        spec: names the checks.
    """
    configured = (
        (_PERFORMANCE, spec.checks.performance),
        (_ESTIMATED, spec.checks.estimated),
        (_FAIRNESS, spec.checks.fairness),
        (_PREDICTIONS, spec.checks.prediction_drift is not None or _judged_predictions(verdict)),
        (_MULTIVARIATE, spec.checks.multivariate is not None),
    )
    return tuple(_condition(kind, verdict) for kind, checks in configured if checks)


def _judged_predictions(verdict: Verdict | None) -> bool:
    """Whether predictions were to be compared though spec.checks.predictionDrift is unset: the reference has some."""
    if verdict is None:
        return False
    return verdict.prediction_drift is not None or any(score.check == "predictions" for score in verdict.scores)


def _condition(kind: _Kind, verdict: Verdict | None) -> Wanted:
    if verdict is None:
        return Wanted(kind.condition, "Unknown", reasons.NO_VERDICT_YET, "no verdict about the current model yet")
    states = {
        "performance": verdict.degraded,
        "estimated": verdict.likely_degraded,
        "fairness": verdict.unfair,
        "predictions": verdict.prediction_drift,
        "multivariate": verdict.multivariate_drift,
    }
    state = states[kind.check]
    # What could not be evaluated comes first where it decides.
    scores = sorted(
        (score for score in verdict.scores if score.check == kind.check),
        key=lambda score: state is None and score.value is not None,
    )
    text = "; ".join(_score_text(score) for score in scores[:_SHOWN]) or "see the report"
    coverage = _coverage_text(verdict) if kind.check in ("performance", "fairness") else ""
    if state is None:
        return Wanted(
            kind.condition,
            "Unknown",
            finding_reasons.NOT_JUDGED,
            shorten(f"not every check could be evaluated: {text}{coverage}"),
        )
    truth: Truth = "True" if state else "False"
    return Wanted(
        kind.condition, truth, kind.failed_reason if state else kind.passed_reason, shorten(f"{text}{coverage}")
    )


def _score_text(score: CheckScore) -> str:
    subject = f" ({score.subject})" if score.subject else ""
    if score.value is None:
        return f"{score.metric}{subject}: {score.why or 'no value'}"
    interval = f" (95 % interval {score.low} to {score.high or 'any'})" if score.low is not None else ""
    limit = f", required {score.limit}" if score.limit else ""
    return f"{score.metric}{subject} {score.value}{interval}{limit}"


def _coverage_text(verdict: Verdict) -> str:
    if verdict.labelled_rows is None or verdict.predicted_rows is None:
        return ""
    return f"; {verdict.labelled_rows} of {verdict.predicted_rows} predictions have a label"
