"""The account of verdicts: which are new, how many in a row found drift, and whether to ask for training. Pure."""

from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from perennial.api.driftmonitor.resource import Retrain
from perennial.api.driftmonitor.status import DriftMonitorStatus, Finding, LastRun, RetrainRequest, Verdict
from perennial.core.times import format_time, parse_duration, parse_time
from perennial.drift.comparisons import ComparisonResult, Moment

WEEK = timedelta(days=7)
_SKEW = timedelta(days=1)
"""A newest run that lies further in the future was not written by a clock, and would hide all that follow."""


@dataclass(frozen=True)
class Account:
    """What is known of all comparisons so far."""

    last_run: LastRun | None = None
    last_verdict: Verdict | None = None
    consecutive: int = 0
    retrain: RetrainRequest | None = None
    retrains: tuple[datetime, ...] = ()
    """Requests of the last week, oldest first, where a budget is set."""
    failures: tuple[LastRun, ...] = ()
    """Comparisons that are new in this step and failed."""


def account(
    status: DriftMonitorStatus,
    found: Iterable[ComparisonResult],
    digest: str | None,
    now: datetime,
    counted: Collection[Finding],
) -> Account:
    """Return the account with all new comparisons taken in, each once and in order.

    Args:
        status: what is known from before.
        found: comparisons that have ended, oldest first.
        digest: the model that is served now, or None while that is unknown.
        now: the present.
        counted: findings that count for a run of verdicts.
    """
    known = _known(status, now)
    for outcome in found:
        known = _take(known, outcome, counted)
    return _of_present(known, digest)


def _known(status: DriftMonitorStatus, now: datetime) -> Account:
    moment = _moment(status.last_run)
    if moment is None or moment.time > now + _SKEW:
        return Account(retrain=status.retrain, retrains=_requests(status))
    return Account(status.last_run, status.last_verdict, status.consecutive, status.retrain, _requests(status))


def _requests(status: DriftMonitorStatus) -> tuple[datetime, ...]:
    """Return when training was asked for; what someone made unreadable holds nothing back."""
    found = []
    for text in status.retrains or ():
        with suppress(ValueError):
            found.append(parse_time(text))
    return tuple(sorted(found))


def _moment(run: LastRun | None) -> Moment | None:
    try:
        return Moment(parse_time(run.time), run.job) if run is not None else None
    except ValueError:
        return None


def _take(known: Account, outcome: ComparisonResult, counted: Collection[Finding]) -> Account:
    newest = _moment(known.last_run)
    if newest is not None and outcome.moment <= newest:
        return known
    verdict = outcome.verdict
    if verdict is None:
        failed = (outcome.run,) if outcome.run.result == "Failed" else ()
        return replace(known, last_run=outcome.run, failures=(*known.failures, *failed))
    before = known.last_verdict
    in_row = known.consecutive if before is not None and before.digest == verdict.digest else 0
    in_row = in_row + 1 if _has(verdict, counted) else 0
    return replace(known, last_run=outcome.run, last_verdict=verdict, consecutive=in_row)


def _has(verdict: Verdict, counted: Collection[Finding]) -> bool:
    return any(finding in counted for finding in findings_of(verdict))


def findings_of(verdict: Verdict) -> tuple[Finding, ...]:
    """Return what a verdict found wrong with the model."""
    found: tuple[tuple[Finding, bool | None], ...] = (
        ("Drift", verdict.drifted),
        ("Degradation", verdict.degraded),
        ("LikelyDegradation", verdict.likely_degraded),
        ("Unfairness", verdict.unfair),
    )
    return tuple(name for name, holds in found if holds)


def _of_present(known: Account, digest: str | None) -> Account:
    """Return the account with verdicts about an older model counting for nothing."""
    verdict = known.last_verdict
    stale = digest is not None and (verdict is None or verdict.digest != digest)
    return replace(known, consecutive=0) if stale else known


def ask(known: Account, wish: Retrain | None, now: datetime) -> Account:
    """Return the account with a request to train again, when one is due: never two for one verdict."""
    verdict = known.last_verdict
    if verdict is None or not is_wanted(known, wish) or wait_for(known, wish, now) > 0:
        return known
    found = tuple(finding for finding in findings_of(verdict) if wish is not None and finding in wish.findings)
    request = RetrainRequest(verdict=verdict.id, time=format_time(now), digest=verdict.digest, findings=found)
    budgeted = wish is not None and wish.max_per_week is not None
    recent = (*_recent(known, now), now) if budgeted else ()
    return replace(known, retrain=request, retrains=recent)


def _recent(known: Account, now: datetime) -> tuple[datetime, ...]:
    return tuple(moment for moment in known.retrains if moment > now - WEEK)


def is_wanted(known: Account, wish: Retrain | None) -> bool:
    """Tell whether a finding persists and its newest verdict has not asked yet."""
    verdict, asked = known.last_verdict, known.retrain
    if wish is None or verdict is None or not _has(verdict, wish.findings) or known.consecutive < wish.after:
        return False
    return asked is None or asked.verdict != verdict.id


def wait_for(known: Account, wish: Retrain | None, now: datetime) -> float:
    """Return the seconds until the cooldown after the last request is over, and the week's budget has room."""
    if wish is None:
        return 0.0
    return max(_cooldown(known, wish, now), spent_for(known, wish, now))


def _cooldown(known: Account, wish: Retrain, now: datetime) -> float:
    if known.retrain is None:
        return 0.0
    try:
        over = parse_time(known.retrain.time) + parse_duration(wish.cooldown)
    except ValueError:  # a time that someone made unreadable holds nothing back
        return 0.0
    return max(0.0, (over - now).total_seconds())


def spent_for(known: Account, wish: Retrain, now: datetime) -> float:
    """Return the seconds until a request fits the week's budget, 0 when one does."""
    recent = _recent(known, now)
    if wish.max_per_week is None or len(recent) < wish.max_per_week:
        return 0.0
    return (recent[-wish.max_per_week] + WEEK - now).total_seconds()
