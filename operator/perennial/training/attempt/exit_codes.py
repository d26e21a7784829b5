"""Holds how an attempt ended to `retry.exitCodes`."""

from dataclasses import replace

from perennial.api.trainingjob.policies import Retry, spans
from perennial.training.attempt.outcomes import AttemptOutcome


def ruled(outcome: AttemptOutcome | None, retry: Retry) -> AttemptOutcome | None:
    """Return the outcome with its ending as the spec's rules have it; without rules or an exit code, as it is."""
    rules = retry.exit_codes
    if outcome is None or rules is None or outcome.exit_code is None:
        return outcome
    code = outcome.exit_code
    if any(code in span for span in spans(rules.fail)):
        return _ended(outcome, f"spec.retry.exitCodes.fail holds {code}")
    if rules.retry is None or any(code in span for span in spans(rules.retry)):
        return replace(outcome, ending="Failed")
    return _ended(outcome, f"spec.retry.exitCodes.retry does not hold {code}")


def _ended(outcome: AttemptOutcome, why: str) -> AttemptOutcome:
    return replace(outcome, ending="Fatal", message=f"{outcome.message}; not repeated: {why}")
