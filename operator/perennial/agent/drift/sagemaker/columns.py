"""Describes one compared column as statistics, constraints and violations, from the samples of its comparison."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from perennial.agent.drift.columns import ColumnPair
from perennial.agent.drift.profiles.merge import WindowProfile
from perennial.agent.drift.quality import Constraint, constraint_of, unknown_values
from perennial.agent.drift.sagemaker import formats
from perennial.agent.drift.sagemaker.formats import CheckType, FeatureConstraints, FeatureStatistics, Violation
from perennial.agent.tables.table import Table
from perennial.agent.text import percent, share_of
from perennial.api.driftmonitor.checks import QualityCheck
from perennial.stats.binned import Binned, Numbers, Sample
from perennial.stats.binning import RARE
from perennial.stats.display import buckets, summarise
from perennial.stats.samples import Categorical

TOLERANCE = 0.01
"""Share of unknown categories that the constraints derived from a reference allow."""
_NAMED_FROM = 5
"""Rows from which a category is named: a rarer one may identify a person."""
_MOST_CATEGORIES = 100


@dataclass(frozen=True)
class ColumnExport:
    """One compared column.

    Attributes:
        statistics: of the current data.
        constraints: from the reference, or as configured.
        violations: of the current data against them, without drift.
    """

    statistics: FeatureStatistics
    constraints: FeatureConstraints
    violations: tuple[Violation, ...]


Exporter = Callable[[str, ColumnPair], ColumnExport]


@dataclass(frozen=True)
class _Types:
    """Whether the values of a column are whole numbers on either side; None: not known."""

    reference: bool | None
    current: bool | None


def exporter(
    check: QualityCheck | None, reference: Table, current: Table | WindowProfile, least: int | None
) -> Exporter:
    """Return what describes each column of a comparison.

    Args:
        check: configured constraints.
        reference: rows of the reference, for the types of its columns.
        current: rows of the current data, or their profile, likewise.
        least: rows behind whatever is written. None: minimum and maximum are, and categories from five rows on.
    """
    return partial(_export, check=check, sides=(reference, current), least=least)


def _export(
    name: str,
    pair: ColumnPair,
    *,
    check: QualityCheck | None,
    sides: tuple[Table, Table | WindowProfile],
    least: int | None,
) -> ColumnExport:
    before, now = sides
    types = _Types(_whole(pair.reference, name, before), _whole(pair.current, name, now))
    constraint = constraint_of(name, pair.reference, check)
    return ColumnExport(
        _statistics(name, pair.current, types.current, least),
        _constraints(name, pair.reference, types.reference, constraint, least),
        tuple(_violations(name, pair, types, constraint, least or 1)),
    )


def _whole(sample: Sample, name: str, side: Table | WindowProfile) -> bool | None:
    """Whether numbers are whole: by the type of the data, otherwise by the values as far as they are known."""
    if isinstance(sample, Categorical):
        return None
    if isinstance(side, WindowProfile):
        integers = side.columns[name].type == "Int64"
    else:
        kinds = [partition.schema[name] for partition in side.partitions if name in partition.schema]
        integers = bool(kinds) and all(kind.is_integer() for kind in kinds)
    return True if integers else _fractional(sample) == 0 if _is_known(sample) else None


def _is_known(sample: Numbers) -> bool:
    return sample.grid.whole if isinstance(sample, Binned) else True


def _fractional(sample: Numbers) -> int:
    """Return the number of values that are not whole."""
    if isinstance(sample, Binned):
        return sample.fractional
    return int(np.count_nonzero(np.floor(sample.values) != sample.values))


def _type_of(sample: Sample, whole: bool | None) -> formats.InferredType:
    if not sample.size:
        return "Unknown"
    if isinstance(sample, Categorical):
        return "String"
    return "Integral" if whole else "Fractional"


def _statistics(name: str, sample: Sample, whole: bool | None, least: int | None) -> FeatureStatistics:
    kind = _type_of(sample, whole)
    common = formats.Common(num_present=sample.size, num_missing=sample.rows - sample.size)
    if isinstance(sample, Categorical):
        shown = formats.Categorical(buckets=tuple(_categories(sample, least)))
        return FeatureStatistics(
            name=name,
            inferred_type=kind,
            string_statistics=formats.StringStatistics(
                common=common,
                distinct_count=sample.distinct,
                distribution=formats.StringDistribution(categorical=shown),
            ),
        )
    return FeatureStatistics(name=name, inferred_type=kind, numerical_statistics=_numerical(sample, common, least or 1))


def _categories(sample: Categorical, least: int | None) -> Iterator[formats.CategoryBucket]:
    """Yield the categories that may be named, the most frequent first, at most _MOST_CATEGORIES."""
    frequent = sorted(_named(sample, least).items(), key=lambda item: (-item[1], item[0]))
    for value, rows in frequent[:_MOST_CATEGORIES]:
        yield formats.CategoryBucket(value=value, count=rows)


def _named(sample: Categorical, least: int | None) -> dict[str, int]:
    return {value: rows for value, rows in sample.counts.items() if rows >= (least or _NAMED_FROM) and value != RARE}


def _numerical(sample: Numbers, common: formats.Common, least: int) -> formats.NumericalStatistics:
    summary = summarise(sample, least)
    if summary is None or not np.isfinite(total := summary.mean * sample.size):
        return formats.NumericalStatistics(common=common)
    ranges = tuple(
        formats.KllBucket(lower_bound=item.low, upper_bound=item.high, count=item.count)
        for item in buckets(sample, summary.low, summary.high, least)
    )
    return formats.NumericalStatistics(
        common=common,
        mean=summary.mean,
        sum=total,
        std_dev=summary.spread,
        min=summary.low,
        max=summary.high,
        distribution=formats.NumericalDistribution(kll=formats.Kll(buckets=ranges)),
    )


def _constraints(
    name: str, reference: Sample, whole: bool | None, constraint: Constraint, least: int | None
) -> FeatureConstraints:
    summary = None if isinstance(reference, Categorical) else summarise(reference, least or 1)
    domains = _domains(reference, constraint, least)
    return FeatureConstraints(
        name=name,
        inferred_type=_type_of(reference, whole),
        completeness=_completeness(constraint),
        num_constraints=None if summary is None else formats.NumConstraints(is_non_negative=summary.low >= 0),
        string_constraints=None if domains is None else formats.StringConstraints(domains=domains),
    )


def _completeness(constraint: Constraint) -> float:
    """Return the least share of rows with a value; in [0, 1]."""
    return 1.0 if constraint.missing is None else round(1 - constraint.missing, 9)


def _domains(reference: Sample, constraint: Constraint, least: int | None) -> tuple[str, ...] | None:
    """Return the allowed categories; None if there is no such constraint, or those that may be named are too few."""
    if constraint.values is None or not isinstance(reference, Categorical):
        return None
    if constraint.origin != "the reference":
        return tuple(sorted(constraint.values))
    named = _named(reference, least)
    hidden = reference.size - sum(named.values())
    return tuple(sorted(named)) if named and hidden <= TOLERANCE * reference.size else None


def _violations(name: str, pair: ColumnPair, types: _Types, constraint: Constraint, least: int) -> Iterator[Violation]:
    current = pair.current
    if text := _wrong_type(pair, types, least):
        yield _violation(name, "data_type_check", text)
    if constraint.missing is not None and current.missing_share > constraint.missing:
        share, limit = percent(1 - current.missing_share), percent(1 - constraint.missing)
        yield _violation(
            name, "completeness_check", f"{share} of the rows have a value; at least {limit} must have one"
        )
    if strange := sum(unknown_values(current, constraint).values()):
        text = f"{share_of(strange, current.size, least)} of the values are not among those of {constraint.origin}"
        yield _violation(name, "categorical_values_check", text)


def _wrong_type(pair: ColumnPair, types: _Types, least: int) -> str | None:
    reference, current = pair.reference, pair.current
    before, now = pair.unreadable_reference, pair.unreadable_current
    if now * reference.rows > before * current.rows:
        told = share_of(now, current.rows, least), share_of(before, reference.rows, least)
        return f"{told[0]} of the values are not numbers, {told[1]} in the reference"
    if types.reference and types.current is False and not isinstance(current, Categorical) and reference.size:
        share = share_of(_fractional(current), current.size, least)
        return f"{share} of the values are not whole numbers, as those of the reference are: Fractional, not Integral"
    return None


def _violation(name: str, check: CheckType, text: str) -> Violation:
    return Violation(feature_name=name, constraint_check_type=check, description=text)
