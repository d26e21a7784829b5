"""Numbers of pods of a split, for every total and weight."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perennial.serving.rollout.arithmetic import TOLERANCE, enough, following, reached, split

TOTALS, WEIGHTS = st.integers(1, 1000), st.integers(1, 99)


@given(total=TOTALS, weight=WEIGHTS)
def test_a_split_keeps_what_the_load_needs_and_takes_at_most_one_pod_more(total: int, weight: int) -> None:
    pods = split(total, weight)
    assert pods.candidate >= 1
    assert pods.stable >= 1
    assert total <= pods.candidate + pods.stable <= total + 1


@given(total=st.integers(2, 1000), weight=WEIGHTS)
def test_the_share_is_as_near_as_whole_pods_allow(total: int, weight: int) -> None:
    pods = split(total, weight)
    exact = total * weight / 100
    assert abs(pods.candidate - exact) <= max(0.5, 1 - exact)


@given(total=TOTALS, weight=WEIGHTS, more=WEIGHTS)
def test_a_greater_weight_never_takes_pods_away(total: int, weight: int, more: int) -> None:
    small, great = sorted((weight, more))
    assert split(total, small).candidate <= split(total, great).candidate


@given(stable=st.integers(0, 1000), weight=WEIGHTS, most=TOTALS)
def test_a_follower_stays_within_its_share_of_the_maximum(stable: int, weight: int, most: int) -> None:
    assert 1 <= following(stable, weight, most) <= split(most, weight).candidate


@given(weight=WEIGHTS)
def test_enough_pods_come_near_the_weight(weight: int) -> None:
    assert abs(split(enough(weight), weight).weight - weight) <= TOLERANCE
    assert enough(weight) == 2 or abs(split(enough(weight) - 1, weight).weight - weight) > TOLERANCE


@pytest.mark.parametrize(("candidate", "stable", "weight"), [(0, 0, 0), (0, 3, 0), (1, 2, 33), (1, 1, 50), (2, 0, 100)])
def test_the_reached_weight(candidate: int, stable: int, weight: int) -> None:
    assert reached(candidate, stable) == weight
