"""Sums up every check of a comparison in a few words."""

from collections.abc import Mapping
from dataclasses import dataclass

from perennial.agent.drift.report.segments import worst_of
from perennial.agent.text import count
from perennial.api.contract.report import DriftReport, deviation_of, state_of


@dataclass(frozen=True)
class _Check:
    """A kind of check, as the headline names it."""

    name: str
    failed: str


SEGMENT = "segment"
_VALUE = 64

_CHECKS = {
    "performance": _Check("Performance", "Performance is beyond its limits"),
    "fairness": _Check("Fairness", "Groups are treated differently"),
    "estimated": _Check("Estimated performance", "Estimated performance is beyond its limits"),
    SEGMENT: _Check("Segments", "Segments deviate"),
    "predictions": _Check("Drift of predictions", "The predictions have drifted"),
    "multivariate": _Check("All columns together", "The columns have drifted together"),
}
KINDS = tuple(_CHECKS)
"""Kinds of checks beside drift and data quality, most important first."""


def summary(report: DriftReport) -> tuple[str, ...]:
    """Sum up every check, worst first: what was found, then what could not be judged, or that all is well."""
    return sum_up(
        drifted=report.drifted,
        states=states_of(report),
        findings=len(report.quality_findings),
        segments=_segments(report),
    )


def states_of(report: DriftReport) -> dict[str, bool | None]:
    """Return whether the checks of each kind failed; kinds without a check are left out."""
    kinds = [kind for kind in KINDS if any(check.check == kind for check in report.checks)]
    states = {kind: state_of(report.checks, kind) for kind in kinds}
    return {**states, SEGMENT: deviation_of(report.segments)} if report.segments else states


def _segments(report: DriftReport) -> str:
    """Name the segment that deviates most, and count the others."""
    worst = worst_of(report.segments)
    deviating = sum(segment.deviates for column in report.segments for segment in column.segments)
    if worst is None or not deviating:
        return ""
    others = f" and {deviating - 1:,} more" if deviating > 1 else ""
    return f": {worst[0].column} = {worst[1].value[:_VALUE]}{others}"


def sum_up(*, drifted: bool, states: Mapping[str, bool | None], findings: int, segments: str = "") -> tuple[str, ...]:
    """Sum up results.

    Args:
        drifted: whether the verdict is drift.
        states: whether the checks of a kind failed, as `state_of`; kinds without a check are left out.
        findings: number of data quality findings.
        segments: which segments deviate, as the end of a sentence.
    """
    kinds = [kind for kind in KINDS if kind in states]
    found = [
        *(("The data has drifted",) if drifted else ()),
        *(_CHECKS[kind].failed + (segments if kind == SEGMENT else "") for kind in kinds if states[kind]),
        *((count(findings, "finding") + " of data quality",) if findings else ()),
    ]
    unknown = [f"{_CHECKS[kind].name} not judged" for kind in kinds if states[kind] is None]
    held = [_CHECKS[kind].name for kind in kinds if states[kind] is False]
    fine = [] if drifted else ["The data has not drifted"]
    return (*found, *unknown, *(fine if found or unknown else [*fine, *(f"{name} within its limits" for name in held)]))
