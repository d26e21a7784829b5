"""Performance by name: what resources ask for, measured with an interval, alone or one model against another."""

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
    """A figure that can be asked for.

    Attributes:
        compute: from rows to the figure.
        rows: the kind of rows that it is about.
        higher_is_better: False for losses and errors.
        low: smallest possible value.
        high: largest possible value.
        share: it is a share of rows or behaves like one, so that Wilson's interval fits.
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
    raise AssertionError("every metric's name has a metric, and the reverse")


def figure(name: MetricName, rows: Rows) -> Figure:
    """Return a metric of rows, with the influence of each.

    Raises:
        Undefined: it has no value there, or is not about such rows; the message says why.
    """
    metric = METRICS[name]
    if not isinstance(rows, metric.rows):
        raise Undefined(f"{name} is about {metric.rows.__name__.lower()} rows, these are {type(rows).__name__.lower()}")
    if not rows.size:
        raise Undefined("there are no rows")
    return metric.compute(rows)


def measure(name: MetricName, rows: Rows, confidence: float = CONFIDENCE) -> Estimate:
    """Return a metric with its interval.

    Raises:
        Undefined: it has no value there; the message says why.
    """
    metric = METRICS[name]
    return estimate(figure(name, rows), confidence, low=metric.low, high=metric.high, share=metric.share)


def paired_gain(name: MetricName, candidate: Rows, stable: Rows, confidence: float = CONFIDENCE) -> Estimate:
    """Return by how much a candidate is better than the stable model on the same rows, in the same order.

    Positive is better, also for losses and errors. Paired, so that what is hard for both cancels out.

    Raises:
        Undefined: the metric has no value there.
        ValueError: the rows are not the same.
    """
    sign = 1.0 if METRICS[name].higher_is_better else -1.0
    gain = difference(figure(name, candidate), figure(name, stable))
    return estimate(Figure(sign * gain.value, sign * gain.influence), confidence)


def gain(name: MetricName, current: Rows, reference: Rows, confidence: float = CONFIDENCE) -> Estimate:
    """Return by how much rows are predicted better than other, independent rows; positive is better.

    Raises:
        Undefined: the metric has no value there.
    """
    first, second = figure(name, current), figure(name, reference)
    better, worse = (first, second) if METRICS[name].higher_is_better else (second, first)
    return unpaired(better, worse, confidence)
