"""Compares the columns one by one: reads, measures and describes each."""

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from types import MappingProxyType

from perennial.agent.drift.availability import findings_of, further_columns, one_sided
from perennial.agent.drift.columns import ColumnPair, ColumnSelection, Kind
from perennial.agent.drift.pairs import read_pairs
from perennial.agent.drift.profiles.merge import WindowProfile, profiled_pairs
from perennial.agent.drift.quality import limits_of, quality_of
from perennial.agent.drift.report.text import describe, describe_missing
from perennial.agent.drift.sagemaker.columns import ColumnExport, Exporter
from perennial.agent.tables.table import Table
from perennial.api.contract.report import Bars, ColumnSide, FeatureReport, NotCompared, NumberSummary
from perennial.api.driftmonitor.resource import Checks, DriftCheck
from perennial.stats.binned import Sample
from perennial.stats.compare import Comparison, compare, p_value_badness
from perennial.stats.display import Summary, histogram, summarise
from perennial.stats.methods import P_VALUES
from perennial.stats.missing import missing_change
from perennial.stats.multiple import corrected
from perennial.stats.samples import Categorical

log = logging.getLogger(__name__)

_LARGEST = 9e11
"""Scores are capped here, to fit the Decimal type of the verdict."""
_TENTH = 10


@dataclass(frozen=True)
class FeatureResult:
    """Result for all columns.

    Attributes:
        features: compared columns, most drift first.
        not_compared: other columns, with the reason.
        findings: problems with data quality.
        missing: columns that the current data lacks though it should have them.
        new: columns that only the current data has and that are known for nothing else.
        exports: compared columns as `export` describes them, in the reference's order.
    """

    features: tuple[FeatureReport, ...]
    not_compared: tuple[NotCompared, ...]
    findings: tuple[str, ...]
    missing: tuple[str, ...] = ()
    new: tuple[str, ...] = ()
    exports: tuple[ColumnExport, ...] = ()


def compare_columns(
    chosen: ColumnSelection,
    reference: Table,
    current: Table | WindowProfile,
    *,
    checks: Checks,
    types: Mapping[str, Kind],
    roles: Mapping[str, str] = MappingProxyType({}),
    attributes: Collection[str] = (),
    unreadable: Mapping[str, str] = MappingProxyType({}),
    least: int | None = None,
    export: Exporter | None = None,
) -> FeatureResult:
    """Compare the columns one by one, with a single one in memory.

    A column in features.include that the current data lacks counts as drifted: all of its values are missing. One
    that the reference lacks cannot be compared and is a finding. Without features.include, columns that only one side
    has are findings, except those with a role, and attributes of fairness checks that only the current data has.

    Args:
        chosen: columns by availability.
        reference: rows of the reference.
        current: rows of the current data, or their profile.
        checks: methods, thresholds and constraints.
        types: declared kinds.
        roles: columns that are no inputs of the model, such as the label, with what they are.
        attributes: columns of fairness checks, segments and constraints, which need not be inputs of the model.
        unreadable: columns that no request had in a readable form, with the reason.
        least: rows that whatever is shown must have behind it. None: the defaults of `stats.display`.
        export: describes a column while its values are at hand. None: nothing is exported.

    Raises:
        AgentError: DataInvalid, if a file cannot be read.
    """
    exports: list[ColumnExport] = []
    features: list[FeatureReport] = []
    left_out: list[NotCompared] = []
    quality: list[str] = []
    names = tuple(name for name in (*chosen.compared, *chosen.absent) if name not in roles)
    left_out.extend(NotCompared(name=name, reason=f"it is {roles[name]}") for name in chosen.compared if name in roles)
    limits = {name: limits_of(name, checks.quality) for name in names}
    pairs = (
        profiled_pairs(names, reference, current, types)
        if isinstance(current, WindowProfile)
        else read_pairs(names, reference, current, types, limits)
    )
    for done, (name, pair) in enumerate(pairs, start=1):
        if isinstance(pair, ColumnPair):
            features.append(feature_of(name, pair, checks.drift, least=least))
            quality.extend(quality_of(name, pair, checks.quality, least))
            exports.extend([] if export is None else [export(name, pair)])
        else:
            left_out.append(NotCompared(name=name, reason=pair))
        if done % max(1, len(names) // _TENTH) == 0 or done == len(names):
            log.info("compared %d of %d columns", done, len(names))
    features = _corrected(features, checks.drift)
    features.sort(key=most_drift)
    known = {*roles, *unreadable}, {*roles, *attributes}
    chosen_findings = findings_of(chosen, features, checks, missing=known[0], new=known[1])
    further = further_columns(chosen, roles, attributes, unreadable)
    missing, new = one_sided(chosen, *known)
    return FeatureResult(
        tuple(features),
        (*left_out, *further),
        (*chosen_findings, *quality),
        missing=(*chosen.absent, *missing),
        new=new,
        exports=tuple(exports),
    )


def compare_in_segment(
    names: Sequence[str],
    reference: Table,
    current: Table,
    *,
    check: DriftCheck,
    types: Mapping[str, Kind],
    segments: int,
    least: int | None = None,
) -> tuple[FeatureReport, ...]:
    """Compare the columns of one of several segments, most drift first; those that cannot be compared are left out.

    Args:
        names: columns that were compared as a whole.
        reference: rows of the segment in the reference.
        current: rows of the segment in the current data.
        check: methods and thresholds.
        types: kind of each column, as it was compared as a whole.
        segments: number of segments that are judged: levels of chance and thresholds of p-values are divided by it.
        least: as in `compare_columns`.

    Raises:
        AgentError: DataInvalid, if a file cannot be read.
    """
    pairs = read_pairs(names, reference, current, types, dict.fromkeys(names, ()))
    features = [
        feature_of(name, pair, check, segments, least=least) for name, pair in pairs if isinstance(pair, ColumnPair)
    ]
    return tuple(sorted(_corrected(features, check), key=most_drift))


def _corrected(features: list[FeatureReport], check: DriftCheck) -> list[FeatureReport]:
    """Correct the threshold of p-values for multiple comparisons; distances are not affected."""
    tested = [feature for feature in features if feature.method in P_VALUES]
    if check.correction == "None" or not tested:
        return features
    limits = {feature.threshold for feature in tested}
    by_limit = {
        limit: corrected([item.score for item in tested if item.threshold == limit], limit, check.correction)
        for limit in limits
    }
    return [
        _with_threshold(feature, by_limit[feature.threshold], check.correction, len(tested))
        if feature.method in P_VALUES
        else feature
        for feature in features
    ]


def _with_threshold(feature: FeatureReport, limit: float, correction: str, tests: int) -> FeatureReport:
    """Apply a corrected threshold to a p-value. Equality is drift, as defined by Benjamini and Hochberg."""
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


def most_drift(feature: FeatureReport) -> tuple[bool, float, str]:
    """Return a key by which columns are sorted, most drift first."""
    badness = _LARGEST if feature.badness is None else feature.badness
    return (not feature.drifted, -badness, feature.name)


def feature_of(
    name: str, pair: ColumnPair, check: DriftCheck, comparisons: int = 1, *, least: int | None = None
) -> FeatureReport:
    """Compare and describe one column.

    Args:
        name: of the column.
        pair: its values.
        check: method and threshold.
        comparisons: number of comparisons of which none should be false, as in `stats.compare`.
        least: as in `compare_columns`.
    """
    threshold = None if check.threshold is None else float(check.threshold)
    result = compare(pair.reference, pair.current, method=check.method, threshold=threshold, comparisons=comparisons)
    change = missing_change(pair.reference, pair.current, comparisons)
    if change is not None and not (result.drifted and result.badness >= change.badness):
        result = change
    reference = _side(pair.reference, pair.unreadable_reference, least)
    current = _side(pair.current, pair.unreadable_current, least)
    bars = _bars(pair.reference, pair.current, least)
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
        sentence=_sentence(result, reference, current, bars, missing_changed=change is not None),
        reference=reference,
        current=current,
        bars=bars,
    )


def _sentence(
    result: Comparison, reference: ColumnSide, current: ColumnSide, bars: Bars | None, *, missing_changed: bool
) -> str:
    text = describe(drifted=result.drifted, method=result.method, reference=reference, current=current, bars=bars)
    if missing_changed and result.method != "missing":
        return f"{text} {describe_missing(reference, current)}"
    return text


def _bounded(value: float) -> float:
    return min(max(value, -_LARGEST), _LARGEST)


def _side(sample: Sample, unreadable: int, least: int | None) -> ColumnSide:
    summary = None if isinstance(sample, Categorical) else summarise(sample, least or 1)
    infinite = 0 if isinstance(sample, Categorical) else sample.infinite
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


def _bars(reference: Sample, current: Sample, least: int | None) -> Bars | None:
    drawn = histogram(reference, current, least)
    if drawn is None:
        return None
    before, now = (tuple(round(share, 6) for share in side) for side in (drawn.reference, drawn.current))
    return Bars(labels=drawn.labels, edges=drawn.edges, reference=before, current=now)
