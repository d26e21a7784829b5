"""Performance metrics by name, with confidence intervals, for one model or as the difference of two."""

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import get_args

from perennial.api.common.measures import MetricName
from perennial.stats import classification, regression
from perennial.stats.classification import Classified
from perennial.stats.intervals import CONFIDENCE, Estimate, Figure, Undefined, difference, estimate, unpaired
from perennial.stats.regression import Ranked, Regressed

Rows = Classified | Regressed | Ranked


@dataclass(frozen=True)
class Metric:
    """A performance metric.

    Attributes:
        compute: computes value and influence from rows.
        rows: type of rows that it needs.
        higher_is_better: False for losses and errors.
        low: smallest possible value.
        high: largest possible value.
        share: whether Wilson's interval applies.
    """

    compute: Callable[..., Figure]
    rows: type[Classified] | type[Regressed] | type[Ranked]
    higher_is_better: bool = True
    low: float = 0.0
    high: float = 1.0
    share: bool = False


METRICS: dict[MetricName, Metric] = {
    "accuracy": Metric(classification.accuracy, Classified, share=True),
    "precision": Metric(classification.precision, Classified, share=True),
    "recall": Metric(classification.recall, Classified, share=True),
    "f1": Metric(classification.f1, Classified, share=True),
    "logLoss": Metric(classification.log_loss, Classified, higher_is_better=False, high=inf),
    "rocAuc": Metric(classification.roc_auc, Classified, share=True),
    "prAuc": Metric(classification.pr_auc, Classified, share=True),
    "brier": Metric(classification.brier, Classified, higher_is_better=False, high=2.0),
    "calibrationError": Metric(classification.calibration_error, Classified, higher_is_better=False),
    "mae": Metric(regression.mae, Regressed, higher_is_better=False, high=inf),
    "rmse": Metric(regression.rmse, Regressed, higher_is_better=False, high=inf),
    "mape": Metric(regression.mape, Regressed, higher_is_better=False, high=inf),
    "r2": Metric(regression.r2, Regressed, low=-inf),
    "ndcg": Metric(regression.ndcg, Ranked, share=True),
}
if set(METRICS) != set(get_args(MetricName)):
    raise AssertionError("METRICS must match MetricName")


def figure(name: MetricName, rows: Rows) -> Figure:
    """Compute a metric, with the influence of each row.

    Raises:
        Undefined: it has no value on these rows, or needs another type; the message says why.
    """
    metric = METRICS[name]
    if not isinstance(rows, metric.rows):
        raise Undefined(
            f"{name} needs {metric.rows.__name__.lower()} rows, but these are {type(rows).__name__.lower()}"
        )
    if not rows.size:
        raise Undefined("there are no rows")
    return metric.compute(rows)


def measure(name: MetricName, rows: Rows, confidence: float = CONFIDENCE) -> Estimate:
    """Compute a metric with its confidence interval.

    Raises:
        Undefined: it has no value on these rows; the message says why.
    """
    metric = METRICS[name]
    return estimate(figure(name, rows), confidence, low=metric.low, high=metric.high, share=metric.share)


def paired_gain(name: MetricName, candidate: Rows, stable: Rows, confidence: float = CONFIDENCE) -> Estimate:
    """Return the improvement of a candidate over the stable model on the same rows, in the same order.

    Positive is better, also for losses and errors. Paired, so that common variance cancels out.

    Raises:
        Undefined: the metric has no value on these rows.
        ValueError: the numbers of rows differ.
    """
    sign = 1.0 if METRICS[name].higher_is_better else -1.0
    gain = difference(figure(name, candidate), figure(name, stable))
    return estimate(Figure(sign * gain.value, sign * gain.influence), confidence)


def gain(name: MetricName, current: Rows, reference: Rows, confidence: float = CONFIDENCE) -> Estimate:
    """Return the improvement of current over independent reference rows; positive is better.

    Raises:
        Undefined: the metric has no value on these rows.
    """
    first, second = figure(name, current), figure(name, reference)
    better, worse = (first, second) if METRICS[name].higher_is_better else (second, first)
    return unpaired(better, worse, confidence)
