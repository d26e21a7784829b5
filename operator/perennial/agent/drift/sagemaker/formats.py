"""The three files of SageMaker Model Monitor, field by field as its Developer Guide documents them.

Source: Amazon SageMaker AI Developer Guide, "Schema for Statistics", "Schema for Constraints" and "Schema for
Violations". Fields that nothing here can fill truthfully are left out, such as the sketch of `kll`: a sample is counted
in buckets, not sketched.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict

InferredType = Literal["Integral", "Fractional", "String", "Unknown"]
CheckType = Literal[
    "data_type_check",
    "completeness_check",
    "baseline_drift_check",
    "missing_column_check",
    "extra_column_check",
    "categorical_values_check",
]
Switch = Literal["Enabled", "Disabled"]


class Format(BaseModel):
    """A part of a file, whose JSON names are those of its fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def to_json(self) -> bytes:
        """Serialise as indented JSON, without unset fields."""
        return self.model_dump_json(exclude_none=True, indent=2).encode()


class Common(Format):
    """Rows with and without a usable value."""

    num_present: int
    num_missing: int


class KllBucket(Format):
    """Number of values in a range."""

    lower_bound: float
    upper_bound: float
    count: int


class Kll(Format):
    """Distribution of numbers."""

    buckets: tuple[KllBucket, ...]


class NumericalDistribution(Format):
    """Distribution of a column of numbers."""

    kll: Kll


class NumericalStatistics(Format):
    """Statistics of a column of numbers. All but `common` are unset if there are too few values, or they overflow."""

    common: Common
    mean: float | None = None
    sum: float | None = None
    std_dev: float | None = None
    min: float | None = None
    max: float | None = None
    distribution: NumericalDistribution | None = None


class CategoryBucket(Format):
    """Number of rows of a category."""

    value: str
    count: int


class Categorical(Format):
    """Frequent categories."""

    buckets: tuple[CategoryBucket, ...]


class StringDistribution(Format):
    """Distribution of a column of categories."""

    categorical: Categorical


class StringStatistics(Format):
    """Statistics of a column of categories."""

    common: Common
    distinct_count: int
    distribution: StringDistribution


class FeatureStatistics(Format):
    """Statistics of one column."""

    name: str
    inferred_type: InferredType
    numerical_statistics: NumericalStatistics | None = None
    string_statistics: StringStatistics | None = None


class Dataset(Format):
    """The rows as a whole."""

    item_count: int


class Statistics(Format):
    """statistics.json."""

    version: Literal[0] = 0
    dataset: Dataset
    features: tuple[FeatureStatistics, ...]


class NumConstraints(Format):
    """Constraints on numbers."""

    is_non_negative: bool


class StringConstraints(Format):
    """Constraints on categories."""

    domains: tuple[str, ...]


class FeatureConstraints(Format):
    """Constraints on one column; `completeness` is the least share of rows with a value."""

    name: str
    inferred_type: InferredType
    completeness: float
    num_constraints: NumConstraints | None = None
    string_constraints: StringConstraints | None = None


class DistributionConstraints(Format):
    """How distributions are compared."""

    perform_comparison: Switch = "Enabled"
    comparison_threshold: float
    comparison_method: Literal["Simple", "Robust"]
    categorical_comparison_threshold: float
    categorical_drift_method: Literal["LInfinity", "ChiSquared"] = "LInfinity"


class MonitoringConfig(Format):
    """How constraints are evaluated: values of the right type, and known categories, as least shares."""

    evaluate_constraints: Switch = "Enabled"
    emit_metrics: Switch = "Enabled"
    datatype_check_threshold: float
    domain_content_threshold: float
    distribution_constraints: DistributionConstraints


class Constraints(Format):
    """constraints.json."""

    version: Literal[0] = 0
    features: tuple[FeatureConstraints, ...]
    monitoring_config: MonitoringConfig


class Violation(Format):
    """One violation."""

    feature_name: str
    constraint_check_type: CheckType
    description: str


class Violations(Format):
    """constraint_violations.json."""

    violations: tuple[Violation, ...]
