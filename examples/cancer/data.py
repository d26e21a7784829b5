"""The data of the example: real measurements of breast tumours, in the order in which a clinic might see them.

scikit-learn ships the Wisconsin data set: 569 tumours, 30 measurements each, benign or malignant. An early cohort is
made of the smaller tumours, as a screening programme finds them; the later cohort is made of the larger ones, as a
hospital sees once it takes in referrals. So the later part has really moved: nearly every measurement of size, and
with it the share of malignant tumours.
"""

import io
import os
import sys
from typing import Literal

import boto3
import pandas as pd
from sklearn.datasets import load_breast_cancer

LABEL = "malignant"
EARLY_ROWS = 340
"""The smallest tumours by mean radius. They hold 30 malignant ones, enough to learn from."""
HOLDOUT = 0.3
SEED = 7

Part = Literal["train", "holdout", "later"]


def cohorts() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the early and the later cohort, measurements and label."""
    data = load_breast_cancer(as_frame=True)
    frame = data.frame.rename(columns=lambda name: name.replace(" ", "_"))
    frame[LABEL] = 1 - frame.pop("target")
    ordered = frame.sort_values("mean_radius", kind="stable").reset_index(drop=True)
    return ordered[:EARLY_ROWS], ordered[EARLY_ROWS:]


def part(name: Part) -> pd.DataFrame:
    """Return one part: what the first model learns from, what it is asked first, and what comes later."""
    early, later = cohorts()
    if name == "later":
        return later
    shuffled = early.sample(frac=1, random_state=SEED)
    cut = round(len(shuffled) * HOLDOUT)
    return shuffled[:cut] if name == "holdout" else shuffled[cut:]


def upload(frame: pd.DataFrame, uri: str) -> None:
    """Write a table to S3 as CSV; make the bucket if it is not there."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    client = boto3.client("s3", endpoint_url=os.environ.get("S3_ENDPOINT"), region_name="us-east-1")
    try:
        client.head_bucket(Bucket=bucket)
    except client.exceptions.ClientError:
        client.create_bucket(Bucket=bucket)
    text = io.StringIO()
    frame.to_csv(text, index=False)
    client.put_object(Bucket=bucket, Key=key, Body=text.getvalue().encode())
    print(f"uploaded {len(frame)} rows, {int(frame[LABEL].sum())} of them malignant, to {uri}")


def main() -> int:
    """`data.py train|later s3://bucket/key`: upload a part of the data."""
    match sys.argv[1:]:
        case ["train" | "holdout" | "later" as name, uri] if uri.startswith("s3://"):
            upload(part(name), uri)
            return 0
        case _:
            print("usage: data.py train|holdout|later s3://bucket/key.csv", file=sys.stderr)
            return 2


if __name__ == "__main__":
    sys.exit(main())
