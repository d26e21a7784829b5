from dataclasses import replace

import numpy as np
import pytest

from perennial.stats.fairness import disparity
from perennial.stats.groups import Judged, crossed, group_rates
from perennial.stats.intervals import Undefined
from tests.unit.stats.agreed import EXPECTED, people

FAIR = EXPECTED["fairness"]
SIGNED = [name for name, value in FAIR.items() if isinstance(value, dict)]
UNSIGNED = [name for name in FAIR if name not in SIGNED]


@pytest.mark.parametrize("name", UNSIGNED)
def test_fairlearn_says_the_same(name):
    assert disparity(name, people()).estimate.value == pytest.approx(FAIR[name], abs=1e-9)


@pytest.mark.parametrize("name", SIGNED)
@pytest.mark.parametrize("group", ["b", "c"])
def test_signed_figures_are_what_their_definition_gives(name, group):
    rows = people()
    two = replace(rows, groups=np.where(np.isin(rows.groups, ["a", group]), rows.groups, ""))
    found = disparity(name, two, "a")
    assert found.estimate.value == pytest.approx(FAIR[name][group], abs=1e-9)
    assert (found.group, found.versus) == (group, "a")


@pytest.mark.parametrize("name", SIGNED)
def test_of_several_groups_the_most_deviating_is_taken(name):
    values = FAIR[name].values()
    distance = (lambda value: max(value, 1 / value)) if name == "disparateImpact" else abs
    assert disparity(name, people(), "a").estimate.value == pytest.approx(max(values, key=distance), abs=1e-9)


def judged(shares, rows=1000):
    groups = np.repeat(list(shares), rows)
    favourable = np.concatenate([np.arange(rows) < share * rows for share in shares.values()])
    return Judged(favourable, groups)


def test_four_fifths():
    found = disparity("disparateImpact", judged({"M": 0.5, "F": 0.3}), "M")
    assert found.estimate.value == pytest.approx(0.6)
    assert 0.5 < found.estimate.low < 0.6 < found.estimate.high < 0.7


def test_a_group_that_never_gets_it_has_a_ratio_of_nothing():
    found = disparity("disparateImpact", judged({"M": 0.5, "F": 0.0}), "M").estimate
    assert (found.value, found.low) == (0, 0)


def test_small_groups_are_left_alone():
    rows = judged({"M": 0.5, "F": 0.3}, 29)
    assert group_rates(rows) == ()
    with pytest.raises(Undefined, match="only these have enough rows: none"):
        disparity("statisticalParityDifference", rows, "M")
    with pytest.raises(Undefined, match="fewer than two groups"):
        disparity("demographicParityGap", rows)


def test_figures_about_truth_need_it():
    with pytest.raises(Undefined, match="need labels"):
        disparity("equalOpportunityGap", judged({"M": 0.5, "F": 0.3}))


def test_intersections_are_groups_of_their_own():
    sex = np.array(["F", "F", "M", "M", ""])
    age = np.array(["60+", "", "60+", "20", "20"])
    assert list(crossed([sex, age])) == ["F & 60+", "", "M & 60+", "M & 20", ""]


def test_fair_decisions_are_rarely_called_unfair():
    random = np.random.default_rng(5)
    blamed = 0
    for _ in range(200):
        rows = Judged(random.random(800) < 0.4, random.choice(list("abcd"), 800))
        blamed += disparity("statisticalParityDifference", rows, "a").estimate.low > 0
        blamed += disparity("statisticalParityDifference", rows, "a").estimate.high < 0
    assert blamed <= 20
