"""What holds for the reasons of every room: each is documented once, and may stand in a condition."""

from types import ModuleType

import pytest

from perennial.api.status import Condition
from perennial.drift import reasons as drift
from perennial.serving import reasons as serving
from perennial.training import reasons as training

_TEXTS = frozenset({"NOT_OURS"})
"""Constants that are no reasons."""


@pytest.mark.parametrize("room", [training, serving, drift], ids=["training", "serving", "drift"])
def test_each_reason_is_documented_once(room: ModuleType) -> None:
    documented = [item.reason for item in room.REASONS]
    given = {
        value
        for name, value in vars(room).items()
        if name.isupper() and name[0] != "_" and isinstance(value, str) and name not in _TEXTS
    }

    assert given <= set(documented)
    assert len(documented) == len(set(documented))


@pytest.mark.parametrize("room", [training, serving, drift], ids=["training", "serving", "drift"])
def test_each_reason_may_stand_in_a_condition(room: ModuleType) -> None:
    for item in room.REASONS:
        Condition(type="Ready", status="True", last_transition_time="", reason=item.reason)
        assert item.meaning.endswith(".")
        assert item.next_step.endswith(".")
