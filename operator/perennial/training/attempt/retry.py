"""Retry policy: which exit codes are retried, and the delay before the next attempt."""

from dataclasses import replace
from datetime import datetime, timedelta

from perennial.api.trainingjob.policies import Retry, spans
from perennial.core.times import format_time, seconds_since
from perennial.training.attempt.outcomes import AttemptOutcome

_FIRST_DELAY_SECONDS, _MAX_DELAY_SECONDS = 5.0, 300.0
_MAX_DOUBLINGS = 6
"""Doublings after which the delay has reached its maximum."""


def apply_exit_codes(outcome: AttemptOutcome | None, retry: Retry) -> AttemptOutcome | None:
    """Return the outcome with the ending that `retry.exitCodes` gives to its exit code.

    Unchanged if there are no rules, or if the attempt did not end with an exit code of the user's
    code.
    """
    rules = retry.exit_codes
    if outcome is None or rules is None or outcome.exit_code is None:
        return outcome
    code = outcome.exit_code
    if any(code in span for span in spans(rules.fail)):
        return _fatal(outcome, f"spec.retry.exitCodes.fail contains {code}")
    if rules.retry is None or any(code in span for span in spans(rules.retry)):
        return replace(outcome, ending="Failed")
    return _fatal(outcome, f"spec.retry.exitCodes.retry does not contain {code}")


def retry_delay(repeats: int) -> float:
    """Return the seconds before the attempt of this number of repeats (from 1): 5, 10, 20, ..., at most 300."""
    doubled = _FIRST_DELAY_SECONDS * 2 ** min(max(repeats - 1, 0), _MAX_DOUBLINGS)
    return float(min(doubled, _MAX_DELAY_SECONDS))


def retry_time(now: datetime, delay: float) -> str:
    """Return the time `delay` seconds from now, as status stores it."""
    return format_time(now + timedelta(seconds=delay))


def seconds_until_attempt(time: str, now: datetime) -> float:
    """Return the seconds until an attempt's time in status.

    0 if the time has passed, is not a time, or lies beyond the longest delay: such a status was
    edited.
    """
    left = -seconds_since(time, now, otherwise=0.0)
    return left if 0 < left <= _MAX_DELAY_SECONDS else 0.0


def _fatal(outcome: AttemptOutcome, why: str) -> AttemptOutcome:
    return replace(outcome, ending="Fatal", message=f"{outcome.message}; not retried: {why}")
