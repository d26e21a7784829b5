"""The test behind the gates of live traffic: is a share of the candidate's requests above its limit?

Two-sided, so that noise neither ends a rollout nor lets it go on:

- Failed, if so many would be seen with a risk of at most `FAIL_RISK`, were the true share at its limit. The risk is far
  below the usual 5 %, because the test is repeated at every look: bench/gates.py measures what it amounts to.
- Passed, if the true share is below the limit with a risk of at most `PASS_RISK`; or if the estimate is, and there were
  enough requests to tell a share apart that is as far above the limit as `gap`.

A limit that is measured itself, on the stable revision, is given by two bounds instead of one number. Each may be wrong
with the risk `BOUND_RISK`, which the test is charged for: Berger and Boos (1994), "P values maximized over a confidence
set for the nuisance parameter", Journal of the American Statistical Association 89.
"""

from dataclasses import dataclass
from math import ceil, inf
from typing import Literal

from perennial.core.proportions import at_least, at_most, trials_for

FAIL_RISK = 0.0005
PASS_RISK = 0.05
BOUND_RISK = 0.0001
FEWEST = 50
"""Requests before anything fails: the first ones may meet caches that are cold, and errors come in bursts."""
QUANTILE = 1.645
"""Of the standard normal distribution at 95 %: the certainty by which `gap` is told apart."""


@dataclass(frozen=True)
class Limit:
    """The limit of a share."""

    share: float
    """Best estimate."""
    low: float
    high: float
    """Bounds; equal to the estimate where the limit is a fixed number."""
    gap: float
    """Excess over the limit that must not go unseen."""
    noise: float = 0.0
    """Variance of the estimate."""
    risk: float = 0.0
    """With which each of the bounds is wrong."""


@dataclass(frozen=True)
class Found:
    """Result of the test."""

    verdict: Literal["Passed", "Failed", "Open"]
    missing: float = 0.0
    """Requests that are still needed; 0 if there are enough and only chance can decide; infinite if none help."""


def fixed(share: float) -> Limit:
    """A limit that is a number; a share of twice the limit must not go unseen."""
    return Limit(share=share, low=share, high=share, gap=min(share, (1 - share) / 2))


@dataclass(frozen=True)
class Counted:
    """Requests of a kind among all requests, for example those that were slower than a limit."""

    fewest: float
    """Requests that are of the kind for certain."""
    likely: float
    """Best estimate of their number."""
    most: float
    """Requests that may be of the kind."""
    trials: float
    """All requests."""


def judge_share(counted: Counted, limit: Limit, least: int | None) -> Found:
    """Test a share.

    Args:
        counted: what was counted.
        limit: of the share.
        least: requests needed for an estimate to pass; None: as many as `limit.gap` needs.
    """
    trials = counted.trials
    if trials >= FEWEST and at_least(ceil(counted.fewest), trials, limit.high) + limit.risk <= FAIL_RISK:
        return Found("Failed")
    if trials > 0 and at_most(counted.most, trials, limit.low) + limit.risk <= PASS_RISK:
        return Found("Passed")
    wanted = float(least) if least is not None else _enough(limit)
    if trials < wanted:
        return Found("Open", missing=max(wanted - trials, 1.0))
    return Found("Passed") if counted.likely / trials <= limit.share else Found("Open")


def _enough(limit: Limit) -> float:
    if limit.gap <= 0:
        return inf
    return max(FEWEST, trials_for(min(limit.share + limit.gap, 1.0), limit.gap, QUANTILE, limit.noise))
