"""History of verdicts: takes in new comparisons, counts consecutive findings, decides on retraining requests."""

from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from perennial.api.driftmonitor.actions import Retrain
from perennial.api.driftmonitor.status import DriftMonitorStatus, Finding, LastRun, RetrainRequest, Verdict
from perennial.core.times import format_time, parse_duration, parse_time
from perennial.drift.comparisons import ComparisonResult, EndedAt
from perennial.drift.windows import has_ended, is_again, is_older

WEEK = timedelta(days=7)
_SKEW = timedelta(days=1)
"""Tolerated clock skew. A `lastRun` further in the future is ignored: it would hide all later comparisons."""


@dataclass(frozen=True)
class VerdictHistory:
    """Summary of all comparisons so far."""

    last_run: LastRun | None = None
    last_verdict: Verdict | None = None
    consecutive: int = 0
    retrain: RetrainRequest | None = None
    retrains: tuple[datetime, ...] = ()
    """Retraining requests of the last seven days, oldest first, if maxPerWeek is set."""
    failures: tuple[LastRun, ...] = ()
    """Failed comparisons that are new in this reconcile."""
    verdicts: tuple[Verdict, ...] = ()
    """Verdicts that are new in this reconcile, oldest first."""


def update_history(
    status: DriftMonitorStatus,
    found: Iterable[ComparisonResult],
    digest: str | None,
    now: datetime,
    counted: Collection[Finding],
) -> VerdictHistory:
    """Return the history in the status, updated with each new comparison once and in order.

    Args:
        status: holds the history so far.
        found: finished comparisons, oldest first.
        digest: digest of the model that is served now. None: unknown.
        now: current time.
        counted: findings that count towards consecutive verdicts.
    """
    history = _from_status(status, now)
    for result in found:
        history = _add(history, result, counted)
    return _reset_if_stale(history, digest)


def _from_status(status: DriftMonitorStatus, now: datetime) -> VerdictHistory:
    ended = _ended_at(status.last_run)
    if ended is None or ended.time > now + _SKEW:
        return VerdictHistory(retrain=status.retrain, retrains=_requests(status))
    verdict = status.last_verdict
    if verdict is not None and verdict.window is not None and not has_ended(verdict.window, now + _SKEW):
        verdict = verdict.model_copy(update={"window": None})
    return VerdictHistory(status.last_run, verdict, status.consecutive, status.retrain, _requests(status))


def _requests(status: DriftMonitorStatus) -> tuple[datetime, ...]:
    """Times of earlier requests; entries that cannot be parsed do not count."""
    found = []
    for text in status.retrains or ():
        with suppress(ValueError):
            found.append(parse_time(text))
    return tuple(sorted(found))


def _ended_at(run: LastRun | None) -> EndedAt | None:
    try:
        return EndedAt(parse_time(run.time), run.job) if run is not None else None
    except ValueError:
        return None


def _add(history: VerdictHistory, result: ComparisonResult, counted: Collection[Finding]) -> VerdictHistory:
    newest = _ended_at(history.last_run)
    if newest is not None and result.ended <= newest:
        return history
    verdict = result.verdict
    if verdict is None and _repeats(history.last_run, result.run):
        return history  # the same lack of data again is no news: writing its time would be a write each schedule
    if verdict is None:
        failed = (result.run,) if result.run.result == "Failed" else ()
        return replace(history, last_run=result.run, failures=(*history.failures, *failed))
    before = history.last_verdict
    verdicts = (*history.verdicts, verdict)
    consecutive = 0
    if before is not None and before.digest == verdict.digest:
        if is_older(verdict, before):
            return replace(history, last_run=result.run, verdicts=verdicts)
        # A verdict about the same window takes the place of the earlier one.
        consecutive = max(0, history.consecutive - is_again(verdict, before))
    consecutive = consecutive + 1 if _has(verdict, counted) else 0
    return replace(history, last_run=result.run, last_verdict=verdict, consecutive=consecutive, verdicts=verdicts)


def _repeats(before: LastRun | None, run: LastRun) -> bool:
    same = before is not None and (before.reason, before.message) == (run.reason, run.message)
    return same and before is not None and before.result == run.result == "NoVerdict"


def _has(verdict: Verdict, counted: Collection[Finding]) -> bool:
    return any(finding in counted for finding in findings_of(verdict))


def findings_of(verdict: Verdict) -> tuple[Finding, ...]:
    """Findings of a verdict, drift first."""
    found: tuple[tuple[Finding, bool | None], ...] = (
        ("Drift", verdict.drifted),
        ("Degradation", verdict.degraded),
        ("LikelyDegradation", verdict.likely_degraded),
        ("Unfairness", verdict.unfair),
        ("SegmentDeviation", verdict.segments.deviate if verdict.segments else None),
        ("PredictionDrift", verdict.prediction_drift),
        ("MultivariateDrift", verdict.multivariate_drift),
    )
    return tuple(name for name, holds in found if holds)


def _reset_if_stale(history: VerdictHistory, digest: str | None) -> VerdictHistory:
    """Reset the count of consecutive verdicts if the newest is about a model that is no longer served."""
    verdict = history.last_verdict
    stale = digest is not None and (verdict is None or verdict.digest != digest)
    return replace(history, consecutive=0) if stale else history


def request_training(history: VerdictHistory, policy: Retrain | None, now: datetime) -> VerdictHistory:
    """Add a retraining request if one is due and allowed now. Neither a verdict nor a window leads to two."""
    verdict = history.last_verdict
    if verdict is None or not is_due(history, policy) or request_wait(history, policy, now) > 0:
        return history
    found = tuple(finding for finding in findings_of(verdict) if policy is not None and finding in policy.findings)
    request = RetrainRequest(
        verdict=verdict.id, time=format_time(now), window=verdict.window, digest=verdict.digest, findings=found
    )
    budgeted = policy is not None and policy.max_per_week is not None
    recent = (*_recent(history, now), now) if budgeted else ()
    return replace(history, retrain=request, retrains=recent)


def _recent(history: VerdictHistory, now: datetime) -> tuple[datetime, ...]:
    return tuple(moment for moment in history.retrains if moment > now - WEEK)


def is_due(history: VerdictHistory, policy: Retrain | None) -> bool:
    """Whether enough consecutive verdicts have a finding, and the newest has not led to a request yet."""
    verdict, request = history.last_verdict, history.retrain
    if policy is None or verdict is None or not _has(verdict, policy.findings) or history.consecutive < policy.after:
        return False
    if request is None:
        return True
    asked = request.digest == verdict.digest and is_again(verdict, request)
    return request.verdict != verdict.id and not asked


def request_wait(history: VerdictHistory, policy: Retrain | None, now: datetime) -> float:
    """Seconds until cooldown and maxPerWeek allow a request; 0 if they allow it now."""
    if policy is None:
        return 0.0
    return max(_cooldown_wait(history, policy, now), budget_wait(history, policy, now))


def _cooldown_wait(history: VerdictHistory, policy: Retrain, now: datetime) -> float:
    if history.retrain is None:
        return 0.0
    try:
        over = parse_time(history.retrain.time) + parse_duration(policy.cooldown)
    except ValueError:  # a time edited by hand starts no cooldown
        return 0.0
    return max(0.0, (over - now).total_seconds())


def budget_wait(history: VerdictHistory, policy: Retrain, now: datetime) -> float:
    """Seconds until maxPerWeek allows a request; 0 if it allows one now."""
    recent = _recent(history, now)
    if policy.max_per_week is None or len(recent) < policy.max_per_week:
        return 0.0
    return (recent[-policy.max_per_week] + WEEK - now).total_seconds()
