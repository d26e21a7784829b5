"""What the gates of live traffic share: missing data, wording, and two limits in one gate."""

from math import inf

from perennial.api.modeldeployment.gates import Gate, Verdict
from perennial.serving.gates.judgement import Judgement, Window
from perennial.serving.gates.sample import Sample
from perennial.serving.gates.shares import Found

_ORDER: tuple[Verdict, ...] = ("Failed", "Inconclusive", "Pending", "Passed")


def missing_data(gate: Gate, candidate: Sample, counted: float, window: Window) -> Judgement | None:
    """Judge a candidate of which nothing was counted: that fails after the initial delay. None: there are data."""
    if counted > 0 and candidate.is_fresh(window.now):
        return None
    if candidate.began is None:
        return Judgement("Pending", "the pods of the candidate have not been read yet")
    if candidate.newest is None:
        why = "the metrics of no pod of the candidate can be read"
    elif not candidate.is_fresh(window.now):
        why = f"no pod of the candidate could be read since {candidate.newest:%H:%M:%S} UTC"
    else:
        why = "no request was counted: the candidate gets none, or its metrics have other names"
    if window.is_over(gate, candidate.newest if counted > 0 else candidate.began):
        return Judgement("Failed", f"no data for {gate.initial_delay}: {why}")
    return Judgement("Pending", why)


def of_stable(stable: Sample, counted: float, window: Window) -> Judgement | None:
    """Tell why the stable revision cannot be compared with; None: it can."""
    if counted > 0 and stable.is_fresh(window.now):
        return None
    if stable.began is not None and stable.read == 0:
        return Judgement("Inconclusive", "the metrics of no pod of the stable revision can be read, to compare with")
    return Judgement("Pending", "no request of the stable revision was counted yet, to compare with")


def described(found: Found, said: str, figures: dict[str, str]) -> Judgement:
    """Word the result of a test."""
    if found.verdict == "Failed":
        return Judgement("Failed", f"{said}: above what is allowed, beyond chance", figures)
    if found.verdict == "Passed":
        return Judgement("Passed", said, figures)
    if found.missing == inf:
        return Judgement("Pending", f"{said}; the stable revision needs more requests to be compared with", figures)
    if found.missing:
        return Judgement("Pending", f"{said}; {found.missing:.0f} more requests are needed to judge", figures)
    return Judgement(
        "Inconclusive", f"{said}: above what is allowed, but not beyond chance; more requests tell", figures
    )


def combined(judged: list[Judgement]) -> Judgement:
    """Unite the verdicts of two limits: the worst one speaks."""
    figures = {key: value for item in judged for key, value in item.figures.items()}
    worst = min(judged, key=lambda item: _ORDER.index(item.verdict))
    message = worst.message if worst.verdict != "Passed" else "; ".join(item.message for item in judged)
    return Judgement(worst.verdict, message, {**figures, **worst.figures})


def percent(share: float) -> str:
    """A share in percent, with three significant digits."""
    return f"{share * 100:.3g} %"
