"""Compares reference and current data, and runs the checks, in each segment by itself."""

import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path

import polars as pl

from perennial.agent.drift.columns import Kind
from perennial.agent.drift.features import compare_in_segment
from perennial.agent.drift.performance.checks import CheckResults, evaluate
from perennial.agent.drift.segments.plan import LEAST_NAMED, Plan, plan_of, plan_of_one_side
from perennial.agent.drift.segments.split import MOST_VALUES, count_values, split_table, texts_of
from perennial.agent.tables.table import Table
from perennial.agent.text import count
from perennial.api.contract.commands import DriftConfig
from perennial.api.contract.report import (
    CheckReport,
    FeatureReport,
    SegmentFeature,
    SegmentReport,
    SegmentRows,
    SegmentsReport,
)
from perennial.api.driftmonitor.segments import Segment
from perennial.stats.intervals import CONFIDENCE

log = logging.getLogger(__name__)

_FEATURES_SHOWN = 10
_FINDINGS = 3


@dataclass(frozen=True)
class Sides:
    """What is divided into segments.

    Attributes:
        reference: rows of the reference.
        current: rows of the current data.
        kinds: kind of each column that was compared as a whole.
        results: checks of the whole, with the predictions that they were computed from.
        least: rows that whatever is shown must have behind it. None: the defaults.
    """

    reference: Table
    current: Table
    kinds: Mapping[str, Kind]
    results: CheckResults
    least: int | None = None

    @property
    def named(self) -> int:
        """Rows from which a value is named."""
        return max(LEAST_NAMED, self.least or 0)


@dataclass(frozen=True)
class _Planned:
    """The segments of one column: those whose columns are compared, and those in which checks are run."""

    segment: Segment
    drift: Plan
    checks: Plan
    lower: bool


def run_segments(config: DriftConfig, sides: Sides, folder: Path) -> tuple[SegmentsReport, ...]:
    """Judge each segment of each column of `segments`.

    The probability of a false alarm is divided by the number of judged segments of all columns: with twenty segments
    each column is held to a noise level that chance exceeds once in 20,000 comparisons instead of once in 1,000.

    Args:
        config: segments, checks, and how to read predictions.
        sides: what is divided.
        folder: an empty folder, for as many bytes as the data have.

    Raises:
        AgentError: DataInvalid, if a file cannot be read; OutOfSpace.
    """
    planned = [_planned(segment, config, sides) for segment in config.segments or ()]
    comparisons = max(1, sum(len(item.drift.judged) for item in planned))
    checked = max(1, sum(len(item.checks.judged) for item in planned))
    reports = []
    for index, item in enumerate(planned):
        place = folder / f"{index}"
        place.mkdir()
        reports.append(_report(config, sides, item, place, comparisons=comparisons, checked=checked))
        shutil.rmtree(place)
    return tuple(reports)


def findings_of(reports: Sequence[SegmentsReport]) -> tuple[str, ...]:
    """Return a finding of data quality for each column with new values."""
    return tuple(
        f"{report.column}: new in the current data: {', '.join(_new(item) for item in report.only_current[:_FINDINGS])}"
        + (f" and {len(report.only_current) - _FINDINGS} more" if len(report.only_current) > _FINDINGS else "")
        for report in reports
        if report.only_current
    )


def _new(item: SegmentRows) -> str:
    return f"{item.value[:64]} ({count(item.current or 0, 'row')}, none in the reference)"


def _planned(segment: Segment, config: DriftConfig, sides: Sides) -> _Planned:
    column, tables = segment.column, (sides.reference, sides.current)
    lower = any(pl.Boolean in _types(table, column) for table in tables)
    checks = _plan_checks(segment, config, sides, lower=lower)
    return _Planned(segment, _plan_drift(segment, sides, lower=lower), checks, lower)


def _types(table: Table, column: str) -> set[pl.DataType]:
    return {partition.schema[column] for partition in table.partitions if column in partition.schema}


def _plan_drift(segment: Segment, sides: Sides, *, lower: bool) -> Plan:
    column = segment.column
    named = {"reference": sides.reference, "current data": sides.current}
    lacking = [name for name, table in named.items() if column not in table.columns]
    if lacking:
        return Plan(why=f"drift: {' and '.join(lacking)} have no column {column}")
    if any(table.nested(column) for table in named.values()):
        return Plan(why=f"drift: column {column} contains lists or records")
    before, now = (
        count_values((batch[column] for batch in table.batches([column])), lower=lower) for table in named.values()
    )
    if before is None or now is None:
        return Plan(why=f"drift: column {column} has more than {MOST_VALUES:,} values: use ranges or groups of them")
    return plan_of(segment, before, now, sides.named)


def _plan_checks(segment: Segment, config: DriftConfig, sides: Sides, *, lower: bool) -> Plan:
    if not (config.checks.performance or config.checks.fairness):
        return Plan()
    column, frame = segment.column, sides.results.frame
    if frame is None:
        return Plan(why="performance and fairness: not evaluated as a whole either")
    if column not in frame.columns:
        return Plan(why=f"performance and fairness: neither requests nor labels have a column {column}")
    counts = count_values([frame.get_column(column)], lower=lower)
    if counts is None:
        return Plan(why=f"performance and fairness: column {column} has more than {MOST_VALUES:,} values")
    return plan_of_one_side(segment, counts, sides.named)


def _report(
    config: DriftConfig, sides: Sides, item: _Planned, folder: Path, *, comparisons: int, checked: int
) -> SegmentsReport:
    column = item.segment.column
    compared = [name for name in sides.kinds if name != column]
    values = tuple(dict.fromkeys((*item.drift.judged, *item.checks.judged)))
    before = _divided(sides.reference, item, values, folder / "reference", sides.reference.columns)
    now = _divided(sides.current, item, item.drift.judged, folder / "current", compared)
    frame = sides.results.frame
    segments = []
    for done, value in enumerate(values, start=1):
        features: tuple[FeatureReport, ...] = ()
        if value in item.drift.counts:
            features = compare_in_segment(
                compared,
                before[value],
                now[value],
                check=config.checks.drift,
                types=sides.kinds,
                segments=comparisons,
                least=sides.least,
            )
        reports: tuple[CheckReport, ...] = ()
        if frame is not None and value in item.checks.counts:
            reports = _checks(config, frame, item, value, reference=before.get(value), checked=checked)
        segments.append(_segment(config, value, item.drift.counts.get(value), features, reports))
        log.info("segments of %s: judged %d of %d", column, done, len(values))
    told = item.drift if item.drift.why is None else item.checks
    whys = [why for why in (item.drift.why, item.checks.why) if why is not None]
    return SegmentsReport(
        column=column,
        why="; ".join(whys) or None,
        segments=tuple(sorted(segments, key=lambda found: (*_rank(found), found.value))),
        only_reference=told.only_reference,
        only_current=told.only_current,
        too_few=told.too_few,
        not_judged=told.not_judged,
        not_judged_rows=told.not_judged_rows,
        without_value=told.without_value,
    )


def _divided(
    table: Table, item: _Planned, values: Sequence[str], folder: Path, names: Sequence[str]
) -> dict[str, Table]:
    if item.segment.column not in table.columns or not values:
        return {}
    folder.mkdir()
    return split_table(table, item.segment.column, values, folder, names=names, lower=item.lower)


def _checks(
    config: DriftConfig, frame: pl.DataFrame, item: _Planned, value: str, *, reference: Table | None, checked: int
) -> tuple[CheckReport, ...]:
    """Run the checks on the predictions of one segment, except fairness between the values that divide them."""
    column = item.segment.column
    fairness = tuple(check for check in config.checks.fairness if column not in check.attributes)
    checks = config.checks.model_copy(update={"fairness": fairness, "min_rows": item.segment.min_rows})
    rows = frame.filter(texts_of(frame.get_column(column), lower=item.lower) == value)
    confidence = 1 - (1 - CONFIDENCE) / checked
    return evaluate(config.model_copy(update={"checks": checks}), rows, reference, confidence)


def _segment(
    config: DriftConfig,
    value: str,
    rows: tuple[int, int] | None,
    features: Sequence[FeatureReport],
    checks: tuple[CheckReport, ...],
) -> SegmentReport:
    drifted = sum(feature.drifted for feature in features)
    reached = drifted > 0 and drifted / len(features) >= float(config.checks.drift.share)
    return SegmentReport(
        value=value,
        deviates=reached or any(check.failed for check in checks),
        reference_rows=rows[0] if rows else None,
        current_rows=rows[1] if rows else None,
        drifted=reached if features else None,
        drifted_features=drifted,
        compared_features=len(features),
        features=tuple(_feature(feature) for feature in features[:_FEATURES_SHOWN]),
        checks=checks,
    )


def _feature(feature: FeatureReport) -> SegmentFeature:
    return SegmentFeature(
        name=feature.name,
        method=feature.method,
        score=feature.score,
        threshold=feature.threshold,
        drifted=feature.drifted,
        badness=feature.badness,
        sentence=feature.sentence,
    )


def _rank(found: SegmentReport) -> tuple[bool, int, float, float]:
    """Order of segments, the one that deviates most first."""
    worst = found.features[0].badness if found.features else 0.0
    return (not found.deviates, -len(found.failed), -found.share, -(inf if worst is None else worst))
