"""Sums up every check of a comparison in a few words."""

from collections.abc import Mapping
from dataclasses import dataclass

from perennial.agent.text import count
from perennial.api.contract.report import DriftReport, state_of


@dataclass(frozen=True)
class _Check:
    """A kind of check, as the headline names it."""

    name: str
    failed: str


_CHECKS = {
    "performance": _Check("Performance", "Performance is beyond its limits"),
    "fairness": _Check("Fairness", "Groups are treated differently"),
    "estimated": _Check("Estimated performance", "Estimated performance is beyond its limits"),
}
KINDS = tuple(_CHECKS)
"""Kinds of checks beside drift and data quality, most important first."""


def summary(report: DriftReport) -> tuple[str, ...]:
    """Sum up every check, worst first: what was found, then what could not be judged, or that all is well."""
    kinds = [kind for kind in KINDS if any(check.check == kind for check in report.checks)]
    states = {kind: state_of(report.checks, kind) for kind in kinds}
    return sum_up(drifted=report.drifted, states=states, findings=len(report.quality_findings))


def sum_up(*, drifted: bool, states: Mapping[str, bool | None], findings: int) -> tuple[str, ...]:
    """Sum up results.

    Args:
        drifted: whether the verdict is drift.
        states: whether the checks of a kind failed, as `state_of`; kinds without a check are left out.
        findings: number of data quality findings.
    """
    kinds = [kind for kind in KINDS if kind in states]
    found = [
        *(("The data has drifted",) if drifted else ()),
        *(_CHECKS[kind].failed for kind in kinds if states[kind]),
        *((count(findings, "finding") + " of data quality",) if findings else ()),
    ]
    unknown = [f"{_CHECKS[kind].name} not judged" for kind in kinds if states[kind] is None]
    held = [_CHECKS[kind].name for kind in kinds if states[kind] is False]
    fine = [] if drifted else ["The data has not drifted"]
    return (*found, *unknown, *(fine if found or unknown else [*fine, *(f"{name} within its limits" for name in held)]))
