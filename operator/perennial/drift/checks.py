"""Conditions of the checks of performance and fairness. None where the spec asks for none."""

from dataclasses import dataclass
from typing import Literal

from perennial.api.driftmonitor.checks import CheckScore
from perennial.api.driftmonitor.resource import DriftMonitorSpec
from perennial.api.driftmonitor.status import Verdict
from perennial.core.conditions import Truth, Wanted, shorten
from perennial.drift import reasons

DEGRADED = "Degraded"
LIKELY_DEGRADED = "LikelyDegraded"
UNFAIR = "Unfair"
_SHOWN = 3


@dataclass(frozen=True)
class _Kind:
    """One kind of check, and how its condition speaks."""

    check: Literal["performance", "estimated", "fairness"]
    condition: str
    failed: str
    holds: str


_PERFORMANCE = _Kind("performance", DEGRADED, reasons.PERFORMANCE_BEYOND_LIMIT, reasons.PERFORMANCE_HOLDS)
_ESTIMATED = _Kind("estimated", LIKELY_DEGRADED, reasons.ESTIMATE_BEYOND_LIMIT, reasons.ESTIMATE_HOLDS)
_FAIRNESS = _Kind("fairness", UNFAIR, reasons.GROUPS_TREATED_DIFFERENTLY, reasons.FAIRNESS_HOLDS)


def checks_of(verdict: Verdict | None, spec: DriftMonitorSpec) -> tuple[Wanted, ...]:
    """Return Degraded, LikelyDegraded and Unfair, as far as they are asked for.

    Args:
        verdict: the newest about the present model, if there is one.
        spec: which checks are asked for.
    """
    asked = (
        (_PERFORMANCE, spec.checks.performance),
        (_ESTIMATED, spec.checks.estimated),
        (_FAIRNESS, spec.checks.fairness),
    )
    return tuple(_condition(kind, verdict) for kind, checks in asked if checks)


def _condition(kind: _Kind, verdict: Verdict | None) -> Wanted:
    if verdict is None:
        return Wanted(kind.condition, "Unknown", reasons.NO_VERDICT_YET, "no verdict about the present model yet")
    states = {
        "performance": verdict.degraded,
        "estimated": verdict.likely_degraded,
        "fairness": verdict.unfair,
    }
    state = states[kind.check]
    scores = [score for score in verdict.scores if score.check == kind.check]
    text = "; ".join(_words(score) for score in scores[:_SHOWN]) or "see the report"
    coverage = "" if kind.check == "estimated" else _coverage(verdict)
    if state is None:
        return Wanted(
            kind.condition, "Unknown", reasons.NOT_JUDGED, shorten(f"nothing could be judged: {text}{coverage}")
        )
    truth: Truth = "True" if state else "False"
    return Wanted(kind.condition, truth, kind.failed if state else kind.holds, shorten(f"{text}{coverage}"))


def _words(score: CheckScore) -> str:
    subject = f" ({score.subject})" if score.subject else ""
    if score.value is None:
        return f"{score.metric}{subject}: {score.why or 'it has no value'}"
    interval = f" ({score.low or '-'} to {score.high or 'any'})"
    limit = f", wanted {score.limit}" if score.limit else ""
    return f"{score.metric}{subject} {score.value}{interval}{limit}"


def _coverage(verdict: Verdict) -> str:
    if verdict.labelled_rows is None or verdict.predicted_rows is None:
        return ""
    return f"; {verdict.labelled_rows} of {verdict.predicted_rows} predictions have a label"
