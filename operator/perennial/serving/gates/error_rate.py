"""The gate of error rates."""

from perennial.api.modeldeployment.gates import ErrorRateGate, Gate
from perennial.core.proportions import lower_bound, upper_bound
from perennial.serving.gates.judgement import Judgement, Window
from perennial.serving.gates.live import combined, described, missing_data, of_stable, percent
from perennial.serving.gates.sample import Sample
from perennial.serving.gates.shares import BOUND_RISK, Counted, Limit, fixed, judge_share


def judge_error_rate(gate: Gate, wanted: ErrorRateGate, candidate: Sample, stable: Sample, window: Window) -> Judgement:
    """Judge the share of failed requests by its limit, and by the stable revision's at the same time."""
    missing = missing_data(gate, candidate, candidate.counted.requests, window)
    if missing is not None:
        return missing
    judged: list[Judgement] = []
    if wanted.max is not None:
        judged.append(_judge(wanted, candidate, fixed(float(wanted.max)), f"limit {percent(float(wanted.max))}"))
    if wanted.not_worse_than_stable_by is not None:
        judged.append(_beside_stable(wanted, float(wanted.not_worse_than_stable_by), candidate, stable, window))
    return combined(judged)


def _beside_stable(
    wanted: ErrorRateGate, margin: float, candidate: Sample, stable: Sample, window: Window
) -> Judgement:
    unknown = of_stable(stable, stable.counted.requests, window)
    if unknown is not None:
        return unknown
    errors, requests = stable.counted.errors, stable.counted.requests
    rate = errors / requests
    softened = (errors + 1) / (requests + 2)
    limit = Limit(
        share=rate + margin,
        low=lower_bound(errors, requests, BOUND_RISK) + margin,
        high=upper_bound(errors, requests, BOUND_RISK) + margin,
        gap=margin,
        noise=softened * (1 - softened) / requests,
        risk=BOUND_RISK,
    )
    said = f"stable {percent(rate)} of {requests:.0f}, allowed {percent(margin)} more"
    found = _judge(wanted, candidate, limit, said)
    figures = {"stable": percent(rate), "stableRequests": f"{requests:.0f}", "margin": percent(margin)}
    return Judgement(found.verdict, found.message, {**found.figures, **figures})


def _judge(wanted: ErrorRateGate, candidate: Sample, limit: Limit, compared: str) -> Judgement:
    errors, requests = candidate.counted.errors, candidate.counted.requests
    found = judge_share(Counted(errors, errors, errors, requests), limit, wanted.min_requests)
    said = f"{errors:.0f} errors in {requests:.0f} requests ({percent(errors / requests)}; {compared})"
    figures = {"candidate": percent(errors / requests), "requests": f"{requests:.0f}", "limit": percent(limit.share)}
    return described(found, said, figures)
