"""What scikit-learn and fairlearn say of the same rows; `versions` in the file tells which releases."""

import json
from pathlib import Path

import numpy as np

from perennial.stats.classification import Classified, binary
from perennial.stats.groups import Judged
from perennial.stats.regression import Ranked, Regressed

EXPECTED = json.loads((Path(__file__).parent / "expected.json").read_text())


def two_classes():
    part = EXPECTED["binary"]
    return binary(np.array(part["truth"]), np.array(part["scores"]))


def four_classes():
    part = EXPECTED["multiclass"]
    scores = np.array(part["scores"])
    return Classified(np.array(part["truth"]), scores.argmax(axis=1), scores)


def numbers():
    part = EXPECTED["regression"]
    return Regressed(np.array(part["truth"]), np.array(part["predicted"]))


def lists(k):
    part = EXPECTED["ranking"]
    relevance = np.array(part["relevance"], dtype=float)
    groups = np.repeat(np.arange(relevance.shape[0]), relevance.shape[1])
    return Ranked(relevance.ravel(), np.array(part["scores"]).ravel(), groups, k)


def people():
    part = EXPECTED["binary"]
    rows = two_classes()
    return Judged(rows.predicted == 1, np.array(part["groups"]), rows.truth == 1)
