"""What holds for the reasons of every room: each is documented once, and may stand in a condition."""

from types import ModuleType

import pytest

from perennial.api.common.status import Condition
from perennial.drift import finding_reasons
from perennial.drift import reasons as drift
from perennial.serving import pod_reasons, rollout_reasons
from perennial.serving import reasons as serving
from perennial.training import reasons as training

_TEXTS = frozenset({"NOT_OURS"})
"""Constants that are no reasons."""


@pytest.mark.parametrize(
    ("controller", "parts"),
    [(training, ()), (serving, (pod_reasons, rollout_reasons)), (drift, (finding_reasons,))],
    ids=["training", "serving", "drift"],
)
def test_each_reason_is_documented_once(controller: ModuleType, parts: tuple[ModuleType, ...]) -> None:
    documented = [item.reason for item in controller.REASONS]
    given = {
        value
        for module in (controller, *parts)
        for name, value in vars(module).items()
        if name.isupper() and name[0] != "_" and isinstance(value, str) and name not in _TEXTS
    }

    assert given <= set(documented)
    assert len(documented) == len(set(documented))


@pytest.mark.parametrize("controller", [training, serving, drift], ids=["training", "serving", "drift"])
def test_each_reason_may_stand_in_a_condition(controller: ModuleType) -> None:
    for item in controller.REASONS:
        Condition(type="Ready", status="True", last_transition_time="", reason=item.reason)
        assert item.meaning.endswith(".")
        assert item.next_step.endswith(".")
