"""Puts the columns of a comparison together to the three files."""

from collections.abc import Collection, Iterator, Mapping, Sequence

from perennial.agent.drift.declared import Breach, Part
from perennial.agent.drift.features import FeatureResult
from perennial.agent.drift.sagemaker.columns import TOLERANCE, ColumnExport
from perennial.agent.drift.sagemaker.formats import (
    CheckType,
    Constraints,
    Dataset,
    DistributionConstraints,
    MonitoringConfig,
    Statistics,
    Violation,
    Violations,
)
from perennial.agent.text import number
from perennial.api.contract.report import FeatureReport
from perennial.api.driftmonitor.resource import DriftCheck
from perennial.stats.compare import AUTO_THRESHOLDS
from perennial.stats.methods import DEFAULT_THRESHOLDS, P_VALUES

_DOCUMENTED_THRESHOLD = 0.1
"""Default of Model Monitor, for methods whose thresholds have another scale."""
_ALL = 1.0
_CHECKS: Mapping[Part, CheckType] = {
    "type": "data_type_check",
    "missing": "completeness_check",
    "values": "categorical_values_check",
    "column": "missing_column_check",
}


def files_of(
    comparison: FeatureResult, check: DriftCheck, rows: int, breaches: Sequence[Breach] = ()
) -> dict[str, bytes]:
    """Return the content of each file, by name.

    Args:
        comparison: its columns with their descriptions.
        check: how the columns were compared.
        rows: rows of the current data.
        breaches: what the current data break of the declared columns.
    """
    current = [item for item in comparison.exports if item.statistics.name not in comparison.missing]
    statistics = Statistics(dataset=Dataset(item_count=rows), features=tuple(item.statistics for item in current))
    constraints = Constraints(
        features=tuple(item.constraints for item in comparison.exports), monitoring_config=_monitoring_config(check)
    )
    found = (*_violations(comparison, current), *_declared(breaches))
    first = {_kind(item): item for item in reversed(found)}
    violations = Violations(violations=tuple(item for item in found if first[_kind(item)] is item))
    return {
        "statistics.json": statistics.to_json(),
        "constraints.json": constraints.to_json(),
        "constraint_violations.json": violations.to_json(),
    }


def _monitoring_config(check: DriftCheck) -> MonitoringConfig:
    """Return the settings of Model Monitor that come closest to those of the comparison."""
    threshold = _threshold(check)
    return MonitoringConfig(
        datatype_check_threshold=_ALL,
        domain_content_threshold=_ALL - TOLERANCE,
        distribution_constraints=DistributionConstraints(
            comparison_threshold=threshold,
            comparison_method="Simple" if check.method == "linf" else "Robust",
            categorical_comparison_threshold=threshold,
        ),
    )


def _threshold(check: DriftCheck) -> float:
    if check.method not in ("auto", "linf", "linf-robust"):
        return _DOCUMENTED_THRESHOLD
    if check.threshold is not None:
        return float(check.threshold)
    return AUTO_THRESHOLDS["linf"] if check.method == "auto" else DEFAULT_THRESHOLDS[check.method]


def _violations(comparison: FeatureResult, current: Collection[ColumnExport]) -> Iterator[Violation]:
    drifted = {item.name: item for item in comparison.features if item.drifted}
    for item in current:
        name = item.statistics.name
        yield from item.violations
        incomplete = any(found.constraint_check_type == "completeness_check" for found in item.violations)
        feature = drifted.get(name)
        if feature is not None and not (incomplete and feature.method == "missing"):
            yield Violation(
                feature_name=name, constraint_check_type="baseline_drift_check", description=_drift_text(feature)
            )
    for name in comparison.missing:
        yield Violation(
            feature_name=name,
            constraint_check_type="missing_column_check",
            description="The reference has this column, the current data has not.",
        )
    for name in comparison.new:
        yield Violation(
            feature_name=name,
            constraint_check_type="extra_column_check",
            description="The current data has this column, the reference has not.",
        )


def _declared(breaches: Sequence[Breach]) -> Iterator[Violation]:
    for breach in breaches:
        if breach.part is not None:
            yield Violation(
                feature_name=breach.name, constraint_check_type=_CHECKS[breach.part], description=breach.text
            )


def _kind(violation: Violation) -> tuple[str, CheckType]:
    return violation.feature_name, violation.constraint_check_type


def _drift_text(feature: FeatureReport) -> str:
    relation = "is at or below" if feature.method in P_VALUES else "is at or above"
    return (
        f"{feature.method} {number(feature.score)} {relation} the threshold {number(feature.threshold)}. "
        f"{feature.sentence}"
    )
