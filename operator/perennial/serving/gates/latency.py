"""The gate of latency quantiles.

A quantile is at most T exactly if the share of requests that took longer than T is at most 1 - quantile. So the gate
tests a share, exactly and with few requests, where an interval of the quantile itself would need many.
"""

from collections.abc import Callable
from math import floor, inf

from perennial.api.modeldeployment.gates import Gate, LatencyGate
from perennial.core.proportions import at_least
from perennial.core.traffic import Counters
from perennial.serving.gates.judgement import Judgement, Window
from perennial.serving.gates.live import combined, described, missing_data, of_stable
from perennial.serving.gates.sample import Sample
from perennial.serving.gates.shares import BOUND_RISK, Counted, Limit, fixed, judge_share


def judge_latency(gate: Gate, wanted: LatencyGate, candidate: Sample, stable: Sample, window: Window) -> Judgement:
    """Judge a quantile by its limit in milliseconds, and by the stable revision's at the same time."""
    missing = missing_data(gate, candidate, candidate.counted.timed, window)
    if missing is not None:
        return missing
    judged: list[Judgement] = []
    if wanted.max_millis is not None:
        seconds = wanted.max_millis / 1000
        judged.append(_judge(wanted, candidate.counted, (seconds, seconds, seconds), f"limit {wanted.max_millis} ms"))
    if wanted.max_ratio_to_stable is not None:
        judged.append(_beside_stable(wanted, float(wanted.max_ratio_to_stable), candidate, stable, window))
    return combined(judged)


def _beside_stable(wanted: LatencyGate, ratio: float, candidate: Sample, stable: Sample, window: Window) -> Judgement:
    """Compare with a multiple of the stable revision's quantile, whose true value lies between two of its requests."""
    unknown = of_stable(stable, stable.counted.timed, window)
    if unknown is not None:
        return unknown
    counted, level = stable.counted, float(wanted.quantile)
    known = counted.quantile(level)
    if known == inf:
        bound = counted.buckets[-2][0] * 1000 if len(counted.buckets) > 1 else 0
        return Judgement("Inconclusive", f"the stable revision's quantile lies above the largest bucket, {bound:g} ms")
    ranks = quantile_ranks(level, counted.timed)
    if ranks is None:
        return Judgement("Pending", f"the stable revision has had {counted.timed:.0f} requests, too few to compare")
    low, high = (counted.quantile(rank / counted.timed) for rank in ranks)
    limits = (low * ratio, known * ratio, high * ratio)
    said = f"stable {_millis(known)} of {counted.timed:.0f} requests, allowed {ratio:g} times as much"
    found = _judge(wanted, candidate.counted, limits, said, risk=BOUND_RISK)
    figures = {"stable": _millis(known), "stableRequests": f"{counted.timed:.0f}", "ratio": f"{ratio:g}"}
    return Judgement(found.verdict, found.message, {**found.figures, **figures})


def quantile_ranks(level: float, requests: float) -> tuple[int, int] | None:
    """Ranks of the requests between which the true quantile lies, each with the risk `BOUND_RISK`; None: too few.

    By the binomial distribution: the quantile is below the request of rank j unless j or more lie below it.
    """
    total = int(requests)
    high = _smallest(total, lambda rank: at_least(rank, total, level) <= BOUND_RISK)
    if high is None:
        return None
    below = _smallest(total, lambda rank: 1 - at_least(rank, total, level) > BOUND_RISK)
    return max((below or 1) - 1, 1), high


def _smallest(total: int, holds: Callable[[int], bool]) -> int | None:
    """Smallest rank from 1 to `total` for which a test holds that goes on to hold."""
    low, high = 1, total + 1
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle + 1, high)
    return low if low <= total else None


def _judge(
    wanted: LatencyGate, counted: Counters, limits: tuple[float, float, float], compared: str, risk: float = 0.0
) -> Judgement:
    """Test the share of requests that took longer than a limit, given as low bound, estimate and high bound."""
    low, seconds, high = limits
    level, total = float(wanted.quantile), counted.timed
    found_at = counted.quantile(level)
    largest = counted.buckets[-2][0] if len(counted.buckets) > 1 else 0.0
    share = fixed(1 - level)
    limit = Limit(share.share, share.low, share.high, share.gap, risk=risk)
    # An estimate above the largest bucket is unknown, so it never passes.
    likely = total * (1 - level) if found_at <= seconds and found_at < inf else total
    # Beside stable both sides are estimated in the same way; a fixed limit fails only what is surely above it.
    fewest = floor(counted.likely_above(high)) if risk else counted.above(high)[0]
    slower = Counted(fewest, likely, counted.above(low)[1], total)
    found = judge_share(slower, limit, wanted.min_requests)
    shown = _millis(found_at) if found_at < inf else f"above {largest * 1000:g} ms"
    said = f"quantile {wanted.quantile} of {total:.0f} requests is {shown} ({compared})"
    figures = {"candidate": shown, "requests": f"{total:.0f}", "limit": _millis(seconds), "quantile": wanted.quantile}
    if found.verdict == "Open" and found.missing == 0 and found_at == inf:
        return Judgement("Inconclusive", f"{said}; the server's histogram has no larger bucket to tell it", figures)
    return described(found, said, figures)


def _millis(seconds: float) -> str:
    return f"{seconds * 1000:.3g} ms"
