"""Summarises a report in the termination message: the columns with the most drift, in the bytes that the pod allows."""

import json
from collections.abc import Sequence

from perennial.agent.drift.report.segments import worst_of
from perennial.agent.text import cut, decimal_text
from perennial.api.contract.messages import LINE_LENGTH, MAX_BYTES, DriftVerdict, NoVerdict
from perennial.api.contract.report import (
    CheckReport,
    DriftReport,
    FeatureReport,
    SegmentReport,
    SegmentsReport,
    deviation_of,
    state_of,
)
from perennial.api.driftmonitor.checks import CheckScore
from perennial.api.driftmonitor.segments import SegmentsVerdict, WorstSegment
from perennial.api.driftmonitor.status import FeatureScore, Trend
from perennial.stats.methods import P_VALUES

_WORST = 10
_CHECKS = 18
_FINDINGS = 5
_NAME = 256
_TEXT = 1024
_CHECK_TEXT = 120
_SHORT = 64
_FAILED = 3


def verdict_of(report: DriftReport, report_uri: str | None, limit: int = MAX_BYTES) -> DriftVerdict:
    """Build the message of at most `limit` bytes: findings and the columns with the least drift are dropped."""
    features = [_score(feature) for feature in report.features[:_WORST]]
    findings = [cut(finding, LINE_LENGTH) for finding in report.quality_findings[:_FINDINGS]]
    message = DriftVerdict(
        drifted=report.drifted,
        drifted_features=report.drifted_features,
        compared_features=report.compared_features,
        reference_rows=report.reference.rows,
        reference_digest=report.reference.digest,
        current_rows=report.current.rows,
        features=tuple(features),
        quality_findings=tuple(findings),
        degraded=state_of(report.checks, "performance"),
        likely_degraded=state_of(report.checks, "estimated"),
        unfair=state_of(report.checks, "fairness"),
        prediction_drift=state_of(report.checks, "predictions"),
        multivariate_drift=state_of(report.checks, "multivariate"),
        labelled_rows=report.labelled_rows,
        predicted_rows=report.predicted_rows,
        scores=tuple(_check(item) for item in report.checks[:_CHECKS]),
        passed_over=report.passed_over_files or None,
        report_uri=report_uri,
        segments=_segments(report.segments),
        trend=_trend(report, report_uri),
        time=report.time,
        window=report.window,
    )
    while _size(message) > limit and (shorter := _shorter(message)) is not None:
        message = shorter
    return message


def _segments(reports: Sequence[SegmentsReport]) -> SegmentsVerdict | None:
    """Sum up the segments, and name the one that deviates most; None without segments."""
    if not reports:
        return None
    judged = [segment for report in reports for segment in report.segments]
    whys = [report.why or f"no value of {report.column} has enough rows" for report in reports if _unjudged(report)]
    worst = worst_of(reports)
    return SegmentsVerdict(
        deviate=deviation_of(reports),
        judged=len(judged),
        deviating=sum(segment.deviates for segment in judged),
        not_judged=sum(report.not_judged for report in reports),
        why=cut(whys[0], LINE_LENGTH) if whys else None,
        worst=None if worst is None else _worst_segment(worst[0].column, worst[1]),
    )


def _unjudged(report: SegmentsReport) -> bool:
    return report.why is not None or not report.segments


def _worst_segment(column: str, found: SegmentReport) -> WorstSegment:
    checks = [f"{check.metric}{f' of {check.subject}' if check.subject else ''}" for check in found.failed]
    names = [*checks, *(feature.name for feature in found.features if feature.drifted)]
    badness = found.features[0].badness if found.features else None
    compared = found.drifted is not None
    return WorstSegment(
        column=cut(column, _SHORT),
        value=cut(found.value, _SHORT),
        deviates=found.deviates,
        drifted_features=found.drifted_features if compared else None,
        compared_features=found.compared_features if compared else None,
        failed=tuple(cut(name, _SHORT) for name in names[:_FAILED]),
        badness=_optional(badness),
    )


def _trend(report: DriftReport, report_uri: str | None) -> Trend | None:
    """Return the trend; Unknown if a history should be kept and could not be."""
    if report.history is not None:
        return report.history.trend
    return None if report_uri is None else "Unknown"


def _shorter(message: DriftVerdict) -> DriftVerdict | None:
    """Drop the least important entry; the results themselves are kept."""
    for name, least in (("quality_findings", 1), ("features", 3), ("scores", 4), ("features", 0), ("scores", 0)):
        items = getattr(message, name)
        if len(items) > least:
            return message.model_copy(update={name: items[:-1]})
    findings = message.quality_findings
    return message.model_copy(update={"quality_findings": ()}) if findings else None


def no_verdict(reason: str, text: str) -> NoVerdict:
    """Build the message of a comparison that had too little data for a verdict."""
    return NoVerdict(reason=reason, message=cut(text, _TEXT))


def _score(feature: FeatureReport) -> FeatureScore:
    return FeatureScore(
        name=cut(feature.name, _NAME),
        method=feature.method,
        score=decimal_text(feature.score),
        statistic=decimal_text(feature.statistic) if feature.method in P_VALUES else None,
        p_value=f"{feature.p_value:.3g}" if feature.method in P_VALUES else None,
        threshold=decimal_text(feature.threshold),
        drifted=feature.drifted,
    )


def _check(report: CheckReport) -> CheckScore:
    return CheckScore(
        check=report.check,
        metric=report.metric,
        subject=None if report.subject is None else cut(report.subject, _CHECK_TEXT),
        value=_optional(report.value),
        low=_optional(report.low),
        high=_optional(report.high),
        limit=cut(report.limit, 64) or None,
        failed=report.failed,
        rows=report.rows,
        why=None if report.why is None else cut(report.why, LINE_LENGTH),
    )


def _optional(value: float | None) -> str | None:
    return None if value is None else decimal_text(value)


def _size(message: DriftVerdict) -> int:
    """Size in bytes of the longest JSON encoding: non-ASCII characters escaped, with spaces."""
    return len(json.dumps(message.dump(), ensure_ascii=True).encode())
