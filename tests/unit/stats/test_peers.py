"""Evidently and NannyML on the same data, where definitions agree; `peers.json` names their releases."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from perennial.stats import distances, significance
from perennial.stats.binning import tabulated
from perennial.stats.samples import Categorical, numeric

PEERS = json.loads((Path(__file__).parent / "peers.json").read_text())
EVIDENTLY, NANNYML = PEERS["evidently"], PEERS["nannyml"]
FIRST, SECOND = (numeric(side).values for side in PEERS["numbers"])
CELLS = tabulated(*(Categorical(Counter(side)) for side in PEERS["categories"]))
COUNTS = CELLS.reference, CELLS.current


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (distances.normed_wasserstein(FIRST, SECOND), EVIDENTLY["wasserstein"]),
        (significance.kolmogorov_smirnov(FIRST, SECOND).p_value, EVIDENTLY["ks"]),
        (distances.psi(*COUNTS), EVIDENTLY["psi_categories"]),
        (distances.hellinger(*COUNTS), EVIDENTLY["hellinger_categories"]),
        # base e there, base 2 here
        (distances.jensen_shannon(*COUNTS) * np.sqrt(np.log(2)), EVIDENTLY["js_categories"]),
        # not divided by a standard deviation there
        (distances.wasserstein(FIRST, SECOND), NANNYML["wasserstein"]),
        (significance.largest_gap(FIRST, SECOND), NANNYML["ks"]),
        (distances.jensen_shannon(*COUNTS), NANNYML["js_categories"]),
        (distances.hellinger(*COUNTS), NANNYML["hellinger_categories"]),
        (distances.l_infinity(*COUNTS), NANNYML["linf_categories"]),
        (significance.chi_square(*COUNTS).statistic, NANNYML["chi2_categories"]),
    ],
)
def test_the_same_number(ours, theirs):
    assert ours == pytest.approx(theirs, abs=1e-9)
