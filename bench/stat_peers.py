"""What other libraries say of the rows that the tests of `stats` store: recomputed, and compared or written.

    PYTHON bench/stat_peers.py [--write]

PYTHON is one of its own that has evidently, nannyml, fairlearn and scikit-learn installed; the project needs none of
them. The rows stay as they are, so that a newer release is told by a difference, and `--write` stores what it says.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[1] / "tests" / "unit" / "stats"
TOLERANCE = 1e-6
"""Relative difference below which two values are the same: trees and sampled figures repeat to about this."""
Values = dict[str, Any]


def evidently(stored: Values) -> Values:
    """Scores of Evidently's tests, by their names there."""
    import pandas as pd
    from evidently.legacy.calculations.stattests.registry import get_stattest
    from evidently.legacy.core import ColumnType

    def score(name: str, rows: str, kind: ColumnType) -> float:
        reference, current = (pd.Series(side, name="value") for side in stored[rows])
        test = get_stattest(reference, current, kind, name)
        return float(test(reference, current, kind, None).drift_score)

    return {
        "version": version("evidently"),
        "wasserstein": score("wasserstein", "numbers", ColumnType.Numerical),
        "ks": score("ks", "numbers", ColumnType.Numerical),
        "js_categories": score("jensenshannon", "categories", ColumnType.Categorical),
        "psi_categories": score("psi", "categories", ColumnType.Categorical),
        "hellinger_categories": score("hellinger", "categories", ColumnType.Categorical),
    }


def nannyml(stored: Values) -> Values:
    """Statistics of NannyML's univariate methods."""
    import pandas as pd
    from nannyml.chunk import DefaultChunker
    from nannyml.drift.univariate.methods import FeatureType, MethodFactory
    from nannyml.thresholds import ConstantThreshold

    def value(name: str, rows: str, kind: FeatureType) -> float:
        reference, current = (pd.Series(side, name="value") for side in stored[rows])
        method = MethodFactory.create(
            key=name, feature_type=kind, chunker=DefaultChunker(), threshold=ConstantThreshold(upper=1.0)
        )
        return float(method.fit(reference).calculate(current))

    numbers, categories = FeatureType.CONTINUOUS, FeatureType.CATEGORICAL
    return {
        "version": version("nannyml"),
        "wasserstein": value("wasserstein", "numbers", numbers),
        "ks": value("kolmogorov_smirnov", "numbers", numbers),
        "js_categories": value("jensen_shannon", "categories", categories),
        "hellinger_categories": value("hellinger", "categories", categories),
        "linf_categories": value("l_infinity", "categories", categories),
        "chi2_categories": value("chi2", "categories", categories),
    }


def cbpe(stored: Values) -> Values:
    """Estimates of NannyML's CBPE for two classes."""
    import pandas as pd
    from nannyml import CBPE

    truth, scores = stored["reference"]
    columns = {"truth": truth, "score": scores, "said": [int(score >= 0.5) for score in scores]}
    labels, later = stored["current"]
    window = {"truth": labels, "score": later, "said": [int(score >= 0.5) for score in later]}
    names = ("roc_auc", "accuracy", "f1", "precision", "recall")
    estimator = CBPE(
        y_pred_proba="score", y_pred="said", y_true="truth", problem_type="classification_binary",
        metrics=list(names), chunk_number=1,
    )  # fmt: skip
    estimator.fit(pd.DataFrame(columns))
    return _estimates(estimator.estimate(pd.DataFrame(window)), {name: name for name in names})


def classes(stored: Values) -> Values:
    """Estimates of NannyML's CBPE for several classes."""
    import pandas as pd
    from nannyml import CBPE

    def frame(side: Values) -> Any:
        scores = _all_classes(side)
        columns: Values = {f"score{index}": [row[index] for row in scores] for index in range(len(scores[0]))}
        said = [max(range(len(row)), key=row.__getitem__) for row in scores]
        return pd.DataFrame({**columns, "said": said, "truth": side["truth"]})

    names = {"accuracy": "accuracy", "precision": "precision", "recall": "recall", "f1": "f1", "rocAuc": "roc_auc"}
    count = len(_all_classes(stored["reference"])[0])
    estimator = CBPE(
        y_pred_proba={index: f"score{index}" for index in range(count)}, y_pred="said", y_true="truth",
        problem_type="classification_multiclass", metrics=list(names.values()), chunk_number=1,
    )  # fmt: skip
    estimator.fit(frame(stored["reference"]))
    return _estimates(estimator.estimate(frame(stored["current"])), names)


def _all_classes(side: Values) -> list[list[float]]:
    """Probabilities of all classes: that of the last one is not stored."""
    return [[*row, 1 - sum(row)] for row in side["scores"]]


def numbers(stored: Values) -> Values:
    """Estimates of NannyML's DLE."""
    import pandas as pd
    from nannyml import DLE

    def frame(side: Values) -> Any:
        inputs = {f"input{index}": [row[index] for row in side["inputs"]] for index in range(len(side["inputs"][0]))}
        return pd.DataFrame({**inputs, "said": side["predicted"], "truth": side["truth"]})

    names = "mae", "rmse", "mape"
    reference = frame(stored["reference"])
    estimator = DLE(
        feature_column_names=[name for name in reference.columns if name.startswith("input")],
        y_pred="said", y_true="truth", metrics=list(names), chunk_number=1,
    )  # fmt: skip
    estimator.fit(reference)
    return _estimates(estimator.estimate(frame(stored["current"])), {name: name for name in names})


def _estimates(result: Any, names: dict[str, str]) -> Values:
    table = result.filter(period="analysis").to_df()
    return {ours: float(table[(theirs, "value")].iloc[0]) for ours, theirs in names.items()}


def fairness(stored: Values) -> Values:
    """Gaps and ratios of fairlearn; the favourable outcome is class 1 from a score of 0.5 on."""
    from fairlearn import metrics

    rows = stored["binary"]
    said = [int(score >= 0.5) for score in rows["scores"]]
    given: Values = {"y_true": rows["truth"], "y_pred": said, "sensitive_features": rows["groups"]}
    return {
        "demographicParityGap": float(metrics.demographic_parity_difference(**given)),
        "demographicParityRatio": float(metrics.demographic_parity_ratio(**given)),
        "equalOpportunityGap": float(metrics.equal_opportunity_difference(**given)),
        "equalizedOddsGap": float(metrics.equalized_odds_difference(**given)),
    }


def two_classes(stored: Values) -> Values:
    """Metrics of scikit-learn for two classes."""
    from sklearn import metrics

    truth, scores = stored["truth"], stored["scores"]
    said = [int(score >= 0.5) for score in scores]
    return {
        "accuracy": float(metrics.accuracy_score(truth, said)),
        "precision": float(metrics.precision_score(truth, said)),
        "recall": float(metrics.recall_score(truth, said)),
        "f1": float(metrics.f1_score(truth, said)),
        "logLoss": float(metrics.log_loss(truth, scores)),
        "rocAuc": float(metrics.roc_auc_score(truth, scores)),
        "prAuc": float(metrics.average_precision_score(truth, scores)),
        "brier": float(metrics.brier_score_loss(truth, scores)),
    }


def four_classes(stored: Values) -> Values:
    """Metrics of scikit-learn for several classes, the mean over classes where it is one for each."""
    from sklearn import metrics

    truth, scores = stored["truth"], stored["scores"]
    said = [max(range(len(row)), key=row.__getitem__) for row in scores]
    return {
        "accuracy": float(metrics.accuracy_score(truth, said)),
        "precision": float(metrics.precision_score(truth, said, average="macro")),
        "recall": float(metrics.recall_score(truth, said, average="macro")),
        "f1": float(metrics.f1_score(truth, said, average="macro")),
        "logLoss": float(metrics.log_loss(truth, scores)),
        "rocAuc": float(metrics.roc_auc_score(truth, scores, multi_class="ovr", average="macro")),
    }


def regression(stored: Values) -> Values:
    """Metrics of scikit-learn for numbers."""
    from sklearn import metrics

    truth, said = stored["truth"], stored["predicted"]
    return {
        "mae": float(metrics.mean_absolute_error(truth, said)),
        "rmse": float(metrics.root_mean_squared_error(truth, said)),
        "mape": float(metrics.mean_absolute_percentage_error(truth, said)),
        "r2": float(metrics.r2_score(truth, said)),
    }


def ranking(stored: Values) -> Values:
    """Normalised discounted cumulative gain of scikit-learn, by the length of the list."""
    from sklearn import metrics

    lengths = stored["expected"]
    return {k: float(metrics.ndcg_score(stored["relevance"], stored["scores"], k=int(k))) for k in lengths}


Place = tuple[str, ...]
PEERS: tuple[tuple[str, Place, Place, Callable[[Values], Values]], ...] = (
    ("peers.json", (), ("evidently",), evidently),
    ("peers.json", (), ("nannyml",), nannyml),
    ("peers.json", ("cbpe",), ("cbpe", "nannyml"), cbpe),
    ("estimation_peers.json", ("classes",), ("nannyml", "classes"), classes),
    ("estimation_peers.json", ("numbers",), ("nannyml", "numbers"), numbers),
    ("expected.json", (), ("fairness",), fairness),
    ("expected.json", ("binary",), ("binary", "expected"), two_classes),
    ("expected.json", ("multiclass",), ("multiclass", "expected"), four_classes),
    ("expected.json", ("regression",), ("regression", "expected"), regression),
    ("expected.json", ("ranking",), ("ranking", "expected"), ranking),
)
"""File, place of the rows in it, place of what the library says, and how that is computed."""


def _at(content: Values, place: Place) -> Values:
    for name in place:
        content = content[name]
    return content


def _differences(stored: Values, found: Values) -> Iterator[str]:
    for name, value in found.items():
        before = stored.get(name, "nothing")
        same = (
            before == value
            if isinstance(value, str) or isinstance(before, str)
            else abs(before - value) <= TOLERANCE * max(1, abs(value))
        )
        if not same:
            yield f"{name}: {before} stored, {value} now"


def main() -> int:
    """Compare or write, and tell what differs; 1 if something does and is not written."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--write", action="store_true", help="store what the libraries say now")
    options = parser.parse_args()
    os.environ.update(NML_DISABLE_USAGE_LOGGING="1", DO_NOT_TRACK="1")  # nothing is told to anybody
    differ = 0
    for name, rows, place, compute in PEERS:
        file = FOLDER / name
        content = json.loads(file.read_text())
        stored, found = _at(content, place), compute(_at(content, rows))
        lines = list(_differences(stored, found))
        differ += len(lines)
        sys.stdout.write(f"{name} {'.'.join(place)}: {len(found)} values, {len(lines)} differ\n")
        sys.stdout.writelines(f"  {line}\n" for line in lines)
        if options.write and lines:
            stored.update(found)
            file.write_text(json.dumps(content) + "\n")
    return int(differ > 0 and not options.write)


if __name__ == "__main__":
    sys.exit(main())
