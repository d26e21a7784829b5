"""Train a classifier on all CSV files of the input `train`; the same data, parameters and seed give the same bytes."""

import json
import os
import sys
from pathlib import Path

import joblib
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

LABEL = "malignant"


def main() -> int:
    """Train, measure by cross-validation, and leave the model and its metrics in the output folder."""
    inputs = Path(os.environ["PERENNIAL_INPUTS"]) / "train"
    output = Path(os.environ["PERENNIAL_OUTPUT"])
    seed = int(os.environ.get("PERENNIAL_SEED", "0"))
    strength = float(os.environ.get("PERENNIAL_PARAM_C", "1.0"))
    files = sorted(inputs.rglob("*.csv"))
    if not files:
        print(f"no CSV files in {inputs}", file=sys.stderr)
        return 2
    frame = pd.concat([pd.read_csv(path) for path in files], ignore_index=True)
    features, label = frame.drop(columns=LABEL), frame[LABEL]
    model = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=2000, random_state=seed))
    folds = StratifiedKFold(5, shuffle=True, random_state=seed)
    scores = cross_validate(model, features, label, cv=folds, scoring=("accuracy", "roc_auc"))
    model.fit(features, label)
    joblib.dump(model, output / "model.joblib")
    metrics = {
        "accuracy": round(float(scores["test_accuracy"].mean()), 4),
        "auc": round(float(scores["test_roc_auc"].mean()), 4),
        "rows": len(frame),
    }
    (output / "metrics.json").write_text(json.dumps(metrics))
    print(f"trained on {len(files)} files: {metrics}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
