"""Checks of a DriftMonitor that look beyond single input columns: at predictions, and at all columns together."""

from typing import Literal

from pydantic import Field

from perennial.api.common.base import Decimal, Model, Rule, rules

DriftMethod = Literal["auto", "psi", "ks", "js", "wasserstein", "chi2", "hellinger", "linf", "linf-robust"]


class PredictionDriftCheck(Model):
    """Method and threshold of drift of the predictions."""

    model_config = {
        "json_schema_extra": rules(
            Rule(
                rule="!has(self.threshold) || double(self.threshold) >= 0.0",
                message="threshold must not be negative",
            )
        )
    }

    method: DriftMethod = Field("auto", description="As in checks.drift.method.")
    threshold: Decimal | None = Field(
        None,
        description="Distance at or above which predictions have drifted; for the tests ks and chi2, the p-value below "
        "which they have. Unset: the default of the method.",
    )


class MultivariateCheck(Model):
    """Bounds of the comparison of all columns together."""

    model_config = {
        "json_schema_extra": rules(
            Rule(
                rule="double(self.maxAuc) >= 0.5 && double(self.maxAuc) <= 1.0",
                message="maxAuc must lie between 0.5 and 1",
            ),
            Rule(
                rule="double(self.maxErrorChange) >= 0.0",
                message="maxErrorChange must not be negative",
            ),
        )
    }

    max_rows: int = Field(
        20000, ge=100, le=100000, description="Maximum number of rows of each side; more are sampled at random."
    )
    max_auc: Decimal = Field(
        "0.55",
        description="Drift if a classifier tells rows of the reference from current rows with an area under the ROC "
        "curve at or above this, 0.5 being chance, and chance alone would make as much less than once in 2,000 times.",
    )
    max_error_change: Decimal = Field(
        "0.05",
        description="Drift if the mean error of reconstructing rows from principal components differs from that of the "
        "reference by this share or more, and chance alone would make as much less than once in 2,000 times.",
    )
