"""Each reason that is given is documented, once."""

from perennial.api.status import Condition
from perennial.drift import reasons


def test_each_reason_is_documented_once() -> None:
    documented = [item.reason for item in reasons.REASONS]
    given = {
        value
        for name, value in vars(reasons).items()
        if name.isupper() and name[0] != "_" and isinstance(value, str) and name != "NOT_OURS"
    }

    assert given <= set(documented)
    assert len(documented) == len(set(documented))


def test_each_reason_may_stand_in_a_condition() -> None:
    for item in reasons.REASONS:
        Condition(type="Ready", status="True", last_transition_time="", reason=item.reason)
        assert item.meaning
        assert item.next_step
