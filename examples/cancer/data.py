"""The data of the example: real measurements of breast tumours, in the order in which a clinic might see them.

scikit-learn ships the Wisconsin data set: 569 tumours, 30 measurements each, benign or malignant. An early cohort is
made of the smaller tumours, as a screening programme finds them; the later cohort is made of the larger ones, as a
hospital sees once it takes in referrals. So the later part has really moved: nearly every measurement of size, and
with it the share of malignant tumours. Of both cohorts, the model learns from one part and is asked about the other.
"""

import io
import os
import sys
from typing import Any, Literal

import boto3
import pandas as pd
from sklearn.datasets import load_breast_cancer

LABEL = "malignant"
EARLY_ROWS = 340
"""The smallest tumours by mean radius. They hold 30 malignant ones, enough to learn from."""
HOLDOUT = 0.3
SEED = 7

Learned = Literal["train", "later", "unlabelled"]
Asked = Literal["holdout", "later", "both"]


def cohorts() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the early and the later cohort, measurements and label."""
    data = load_breast_cancer(as_frame=True)
    frame = data.frame.rename(columns=lambda name: name.replace(" ", "_"))
    frame[LABEL] = 1 - frame.pop("target")
    ordered = frame.sort_values("mean_radius", kind="stable").reset_index(drop=True)
    return ordered[:EARLY_ROWS], ordered[EARLY_ROWS:]


def split(cohort: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return what a model learns from a cohort, and what it is asked about; no tumour is in both."""
    shuffled = cohort.sample(frac=1, random_state=SEED)
    cut = round(len(shuffled) * HOLDOUT)
    return shuffled[cut:], shuffled[:cut]


def learned(name: Learned) -> pd.DataFrame:
    """Return what the first model learns from, or what is labelled later.

    "unlabelled" is the later cohort as a faulty export leaves it: every diagnosis lost, and 0 in its place.
    """
    early, later = cohorts()
    rows = split(early if name == "train" else later)[0]
    return rows.assign(**{LABEL: 0}) if name == "unlabelled" else rows


def asked(name: Asked) -> pd.DataFrame:
    """Return tumours no model has learned from: as they came at first, as they come later, or all of them."""
    first, then = (split(cohort)[1] for cohort in cohorts())
    return {"holdout": first, "later": then, "both": pd.concat([first, then], ignore_index=True)}[name]


def s3() -> Any:
    """Return a client of the server that the variable S3_ENDPOINT names; the keys are in the environment as well."""
    return boto3.client("s3", endpoint_url=os.environ.get("S3_ENDPOINT"), region_name="us-east-1")


def make_bucket(name: str) -> None:
    """Make a bucket if it is not there."""
    client = s3()
    try:
        client.head_bucket(Bucket=name)
    except client.exceptions.ClientError:
        client.create_bucket(Bucket=name)


def evaluated() -> pd.DataFrame:
    """Return tumours of both cohorts with confirmed diagnoses, for the gate that compares models."""
    return asked("both")


def upload(frame: pd.DataFrame, uri: str) -> None:
    """Write a table to S3 as CSV; make the bucket if it is not there."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    make_bucket(bucket)
    text = io.StringIO()
    frame.to_csv(text, index=False)
    s3().put_object(Bucket=bucket, Key=key, Body=text.getvalue().encode())
    print(f"uploaded {len(frame)} rows, {int(frame[LABEL].sum())} of them malignant, to {uri}")


def main() -> int:
    """`data.py PART s3://bucket/key`: upload a part of the data; `data.py buckets NAME …`: make them."""
    match sys.argv[1:]:
        case ["buckets", *names] if names:
            for name in names:
                make_bucket(name)
            print(f"buckets: {', '.join(names)}")
            return 0
        case ["train" | "later" | "unlabelled" as name, uri] if uri.startswith("s3://"):
            upload(learned(name), uri)
            return 0
        case ["evaluation", uri] if uri.startswith("s3://"):
            upload(evaluated(), uri)
            return 0
        case _:
            usage = "data.py train|later|unlabelled|evaluation s3://bucket/key.csv, or data.py buckets NAME ..."
            print(f"usage: {usage}", file=sys.stderr)
            return 2


if __name__ == "__main__":
    sys.exit(main())
