"""Columns that only one side has, and findings about columns that are missing, new or unreadable."""

from collections.abc import Collection, Mapping, Sequence

from perennial.agent.drift.columns import ColumnSelection
from perennial.agent.tables.files import some
from perennial.agent.text import count, percent
from perennial.api.contract.report import ColumnSide, FeatureReport, NotCompared
from perennial.api.driftmonitor.resource import Checks

_ATTRIBUTE = "; checks.fairness, checks.quality.columns or segments names it"


def further_columns(
    chosen: ColumnSelection, roles: Mapping[str, str], attributes: Collection[str], unreadable: Mapping[str, str]
) -> list[NotCompared]:
    """Return the columns that only one side has, with the reason why they are not compared."""
    lost = {name: f"no request has it in a readable form: {reason}" for name, reason in unreadable.items()}
    lost = {**{name: f"only the reference has it; it is {role}" for name, role in roles.items()}, **lost}
    return [
        *(NotCompared(name=name, reason=lost.get(name, "only the reference has it")) for name in chosen.only_reference),
        *(
            NotCompared(name=name, reason=reason)
            for name, reason in lost.items()
            if name in unreadable and name not in chosen.only_reference
        ),
        *(
            NotCompared(name=name, reason=f"only the current data has it{_ATTRIBUTE if name in attributes else ''}")
            for name in chosen.only_current
        ),
        *(
            NotCompared(name=name, reason="features.include names it, but the reference lacks it")
            for name in chosen.unknown
        ),
    ]


def findings_of(
    chosen: ColumnSelection,
    features: list[FeatureReport],
    checks: Checks,
    *,
    missing: Collection[str],
    new: Collection[str],
) -> list[str]:
    """Problems with data quality, the most severe kind first.

    Args:
        chosen: columns by availability.
        features: the compared columns.
        checks: constraints.
        missing: columns that the current data may lack.
        new: columns that the reference may lack.
    """
    vanished, added = one_sided(chosen, missing, new)
    absent = [f"{name}: features.include names it, but the current data lacks it" for name in chosen.absent]
    unknown = [f"{name}: features.include names it, but the reference lacks it" for name in chosen.unknown]
    limit = None if checks.quality is None else checks.quality.max_missing
    present = [feature for feature in features if feature.name not in chosen.absent]
    values = [] if limit is None else missing_findings(present, float(limit))
    return [*absent, *unknown, *_column_findings(vanished, added), *values, *_unreadable_findings(features)]


def one_sided(
    chosen: ColumnSelection, missing: Collection[str], new: Collection[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the columns that the current data lacks, and those that only it has; arguments as in `findings_of`."""
    vanished = tuple(name for name in chosen.only_reference if name not in missing)
    return vanished, tuple(name for name in chosen.only_current if name not in new)


def _column_findings(vanished: Sequence[str], new: Sequence[str]) -> list[str]:
    advice = "features.exclude names columns that are no inputs"
    sides = (
        ("missing", vanished, "of the reference", "current data"),
        ("new", new, "of the current data", "reference"),
    )
    return [
        f"{count(len(names), f'{state} column')}: {some(names)} {source}, not in the {other}; {advice}"
        for state, names, source, other in sides
        if names
    ]


def missing_findings(features: Sequence[FeatureReport], limit: float) -> list[str]:
    """Findings about columns that have more missing values than the reference, by more than the limit, worst first."""
    return [
        f"{feature.name}: {percent(feature.current.missing_share)} missing, {percent(feature.reference.missing_share)} "
        f"in the reference; at most {percent(limit)} more allowed"
        for feature in sorted(features, key=lambda item: -item.current.missing_share)
        if feature.current.missing_share - feature.reference.missing_share > limit
    ]


def _unreadable_findings(features: list[FeatureReport]) -> list[str]:
    return [
        f"{feature.name}: {percent(_unreadable(feature.current))} of the values are not numbers, "
        f"{percent(_unreadable(feature.reference))} in the reference"
        for feature in sorted(features, key=lambda item: -_unreadable(item.current))
        if _unreadable(feature.current) > _unreadable(feature.reference)
    ]


def _unreadable(side: ColumnSide) -> float:
    return side.unreadable / side.rows if side.rows else 0.0
