"""From a report to the termination message: the worst columns, in 4,096 bytes, with nothing unprintable."""

import json
from decimal import Decimal

from perennial.agent.report import DriftReport, FeatureReport
from perennial.api.driftmonitor import FeatureScore
from perennial.api.messages import MAX_BYTES, DriftVerdict, NoVerdict

_WORST = 10
_FINDINGS = 5
_LINE = 200
_NAME = 256
_TEXT = 1024
_LARGEST = 999_999_000_000.0


def verdict_of(report: DriftReport, report_uri: str | None) -> DriftVerdict:
    """Return the message; when names are too long for it, findings and then the least bad columns are left out."""
    features = [_score(feature) for feature in report.features[:_WORST]]
    findings = [cut(finding, _LINE) for finding in report.quality_findings[:_FINDINGS]]
    message = DriftVerdict(
        drifted=report.drifted,
        drifted_features=report.drifted_features,
        compared_features=report.compared_features,
        reference_rows=report.reference.rows,
        current_rows=report.current.rows,
        features=tuple(features),
        quality_findings=tuple(findings),
        report_uri=report_uri,
        time=report.time,
    )
    while _size(message) > MAX_BYTES and (message.features or message.quality_findings):
        if len(message.quality_findings) > 1 or not message.features:
            message = message.model_copy(update={"quality_findings": message.quality_findings[:-1]})
        else:
            message = message.model_copy(update={"features": message.features[:-1]})
    return message


def no_verdict(reason: str, text: str) -> NoVerdict:
    """Return the message of a comparison that had too little to judge."""
    return NoVerdict(reason=reason, message=cut(text, _TEXT))


def decimal_text(value: float) -> str:
    """Return a number as `api.base.Decimal` wants it: six significant digits, at most ten decimals, no exponent."""
    bounded = 0.0 if value != value else min(max(value, -_LARGEST), _LARGEST)  # noqa: PLR0124  NaN is not itself
    text = f"{Decimal(f'{bounded:.6g}'):.10f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def cut(text: str, length: int) -> str:
    """Return text without control characters and no longer than the length."""
    clean = "".join(character if character.isprintable() else "?" for character in text)
    return clean if len(clean) <= length else clean[: length - 1] + "…"


def _score(feature: FeatureReport) -> FeatureScore:
    return FeatureScore(
        name=cut(feature.name, _NAME),
        method=feature.method,
        score=decimal_text(feature.score),
        threshold=decimal_text(feature.threshold),
        drifted=feature.drifted,
    )


def _size(message: DriftVerdict) -> int:
    """Return the bytes of the message in the longest form that JSON may take: escaped, with spaces."""
    return len(json.dumps(message.dump(), ensure_ascii=True).encode())
