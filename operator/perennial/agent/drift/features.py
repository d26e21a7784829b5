"""One column after the other: read it, judge it, describe it."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite

from perennial.agent.drift.columns import Chosen, Kind, Pair, read_pair
from perennial.agent.drift.data.table import Table
from perennial.agent.drift.quality import quality_of, unknown_columns
from perennial.agent.drift.report.model import Bars, ColumnSide, FeatureReport, NotCompared, NumberSummary
from perennial.agent.drift.report.text import describe, percent
from perennial.api.driftmonitor.resource import Checks, DriftCheck
from perennial.stats.compare import compare, p_value_badness
from perennial.stats.display import Summary, histogram, summarise
from perennial.stats.methods import P_VALUES
from perennial.stats.multiple import corrected
from perennial.stats.samples import Numeric, Sample

log = logging.getLogger(__name__)

_LARGEST = 9e11
"""Scores beyond say no more, and would not fit the verdict's numbers."""
_TENTH = 10


@dataclass(frozen=True)
class FeatureResult:
    """What all columns gave.

    Attributes:
        features: the columns that were compared, worst first.
        not_compared: the others, with the reason.
        findings: what is wrong with the data itself.
    """

    features: tuple[FeatureReport, ...]
    not_compared: tuple[NotCompared, ...]
    findings: tuple[str, ...]


def compare_columns(
    chosen: Chosen, reference: Table, current: Table, *, checks: Checks, types: Mapping[str, Kind]
) -> FeatureResult:
    """Compare the columns one by one, so that memory holds a single one.

    A column that was asked for and that the current side lacks counts as drifted: where the model learned from
    values, it gets none. One that the reference lacks cannot be compared, and is a finding.

    Raises:
        AgentError: DataInvalid, when a file cannot be read.
    """
    features: list[FeatureReport] = []
    left_out: list[NotCompared] = []
    broken: list[str] = []
    names = (*chosen.compared, *chosen.absent)
    for done, name in enumerate(names, start=1):
        pair = read_pair(name, reference, current, types.get(name))
        if isinstance(pair, Pair):
            features.append(_feature(name, pair, checks.drift))
            broken.extend(quality_of(name, pair, checks.quality))
        else:
            left_out.append(NotCompared(name=name, reason=pair))
        if done % max(1, len(names) // _TENTH) == 0 or done == len(names):
            log.info("compared %d of %d columns", done, len(names))
    features = _corrected(features, checks.drift)
    features.sort(key=lambda item: (not item.drifted, -_order(item), item.name))
    strange = unknown_columns(checks.quality, [feature.name for feature in features])
    findings = (*_findings(chosen, features, checks), *broken, *strange)
    return FeatureResult(tuple(features), (*left_out, *_further(chosen)), findings)


def _corrected(features: list[FeatureReport], check: DriftCheck) -> list[FeatureReport]:
    """Hold p-values against the threshold that their number asks for; distances stay as they are."""
    tested = [feature for feature in features if feature.method in P_VALUES]
    if check.correction == "None" or not tested:
        return features
    limits = {feature.threshold for feature in tested}
    by_limit = {
        limit: corrected([item.score for item in tested if item.threshold == limit], limit, check.correction)
        for limit in limits
    }
    return [
        _held_against(feature, by_limit[feature.threshold], check.correction, len(tested))
        if feature.method in P_VALUES
        else feature
        for feature in features
    ]


def _held_against(feature: FeatureReport, limit: float, correction: str, tests: int) -> FeatureReport:
    """Return a p-value's judgement at another threshold; one that equals it counts, as Benjamini and Hochberg ask."""
    drifted = feature.score <= limit
    badness = p_value_badness(feature.score, limit)
    sentence = feature.sentence if drifted == feature.drifted else f"No drift: {feature.sentence}"
    return feature.model_copy(
        update={
            "threshold": limit,
            "drifted": drifted,
            "badness": badness if isfinite(badness) else None,
            "why": f"{feature.why}; threshold lowered for {tests} tests ({correction})",
            "sentence": sentence,
        }
    )


def _order(feature: FeatureReport) -> float:
    return _LARGEST if feature.badness is None else feature.badness


def _further(chosen: Chosen) -> list[NotCompared]:
    return [
        *(NotCompared(name=name, reason="only the reference has it") for name in chosen.only_reference),
        *(NotCompared(name=name, reason="only the current side has it") for name in chosen.only_current),
        *(
            NotCompared(name=name, reason="features.include names it, the reference lacks it")
            for name in chosen.unknown
        ),
    ]


def _findings(chosen: Chosen, features: list[FeatureReport], checks: Checks) -> list[str]:
    """Return what is wrong with the data, the gravest kind first."""
    absent = [f"{name}: features.include names it, but the current data lacks it" for name in chosen.absent]
    unknown = [f"{name}: features.include names it, but the reference lacks it" for name in chosen.unknown]
    limit = None if checks.quality is None else checks.quality.max_missing
    missing = [] if limit is None else _missing_findings(chosen, features, float(limit))
    return [*absent, *unknown, *missing, *_unreadable_findings(features)]


def _missing_findings(chosen: Chosen, features: list[FeatureReport], limit: float) -> list[str]:
    return [
        f"{feature.name}: {percent(feature.current.missing_share)} missing, {percent(feature.reference.missing_share)} "
        f"in the reference; at most {percent(limit)} more are allowed"
        for feature in sorted(features, key=lambda item: -item.current.missing_share)
        if feature.current.missing_share - feature.reference.missing_share > limit and feature.name not in chosen.absent
    ]


def _unreadable_findings(features: list[FeatureReport]) -> list[str]:
    return [
        f"{feature.name}: {percent(_unreadable(feature.current))} of the values are no numbers, "
        f"{percent(_unreadable(feature.reference))} in the reference"
        for feature in sorted(features, key=lambda item: -_unreadable(item.current))
        if _unreadable(feature.current) > _unreadable(feature.reference)
    ]


def _unreadable(side: ColumnSide) -> float:
    return side.unreadable / side.rows if side.rows else 0.0


def _feature(name: str, pair: Pair, check: DriftCheck) -> FeatureReport:
    threshold = None if check.threshold is None else float(check.threshold)
    result = compare(pair.reference, pair.current, method=check.method, threshold=threshold)
    reference = _side(pair.reference, pair.unreadable_reference)
    current = _side(pair.current, pair.unreadable_current)
    bars = _bars(pair.reference, pair.current)
    return FeatureReport(
        name=name,
        kind=pair.kind,
        method=result.method,
        score=_bounded(result.score),
        threshold=_bounded(result.threshold),
        statistic=_bounded(result.statistic),
        p_value=result.score if result.method in P_VALUES else None,
        drifted=result.drifted,
        badness=result.badness if isfinite(result.badness) else None,
        why=result.why,
        sentence=describe(
            drifted=result.drifted, method=result.method, reference=reference, current=current, bars=bars
        ),
        reference=reference,
        current=current,
        bars=bars,
    )


def _bounded(value: float) -> float:
    return min(max(value, -_LARGEST), _LARGEST)


def _side(sample: Sample, unreadable: int) -> ColumnSide:
    summary = summarise(sample) if isinstance(sample, Numeric) else None
    infinite = sample.infinite if isinstance(sample, Numeric) else 0
    return ColumnSide(
        rows=sample.rows,
        missing=sample.missing + infinite,
        missing_share=sample.missing_share,
        infinite=infinite,
        unreadable=unreadable,
        distinct=sample.distinct,
        numbers=None if summary is None else _numbers(summary),
    )


def _numbers(summary: Summary) -> NumberSummary:
    first, median, third = summary.quartiles
    return NumberSummary(
        mean=summary.mean,
        standard_deviation=summary.spread,
        minimum=summary.low,
        first_quartile=first,
        median=median,
        third_quartile=third,
        maximum=summary.high,
    )


def _bars(reference: Sample, current: Sample) -> Bars | None:
    drawn = histogram(reference, current)
    if drawn is None:
        return None
    before, now = (tuple(round(share, 6) for share in side) for side in (drawn.reference, drawn.current))
    return Bars(labels=drawn.labels, edges=drawn.edges, reference=before, current=now)
