"""Children's names: deterministic, within the limit, and not shared."""

import re

from hypothesis import given
from hypothesis import strategies as st

from perennial.core.kinds import Key
from perennial.core.names import LABEL_LIMIT, child_name, digest_of, owner_labels, selector_text

DNS_LABEL = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
names = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", fullmatch=True)
suffixes = st.from_regex(r"[a-z0-9]{1,10}(-[0-9]{1,3})?", fullmatch=True)


def test_a_short_name_stays_readable() -> None:
    assert child_name("churn", "3-0") == "churn-3-0"


def test_a_name_at_the_limit_is_shortened_with_a_hash() -> None:
    name = child_name("a" * 63, "12-3")

    assert len(name) <= LABEL_LIMIT
    assert name.endswith("-12-3")


def test_two_long_names_with_one_beginning_do_not_share_a_child() -> None:
    first, second = "m" * 62 + "a", "m" * 62 + "b"

    assert child_name(first, "1-0") != child_name(second, "1-0")


def test_a_cut_that_would_end_in_a_dash_does_not() -> None:
    name = child_name("a" * 48 + "-" * 3 + "b" * 12, "1-0")

    assert "--" not in name[40:]
    assert DNS_LABEL.match(name)


@given(parent=names, suffix=suffixes)
def test_every_child_name_is_a_label_within_the_limit(parent: str, suffix: str) -> None:
    name = child_name(parent, suffix)

    assert len(name) <= LABEL_LIMIT
    assert DNS_LABEL.match(name)
    assert name == child_name(parent, suffix)


@given(first=names, second=names, suffix=suffixes)
def test_different_parents_have_different_children(first: str, second: str, suffix: str) -> None:
    assert (first == second) == (child_name(first, suffix) == child_name(second, suffix))


def test_the_digest_does_not_depend_on_the_order_of_keys() -> None:
    assert digest_of({"a": 1, "b": [1, 2]}) == digest_of({"b": [1, 2], "a": 1})
    assert digest_of({"b": [2, 1]}) != digest_of({"b": [1, 2]})


def test_labels_name_the_owner_and_make_a_stable_selector() -> None:
    labels = owner_labels(Key("TrainingJob", "default", "churn"), "training")

    assert labels["perennial.dev/kind"] == "TrainingJob"
    assert labels["perennial.dev/name"] == "churn"
    assert selector_text({"b": "2", "a": "1"}) == "a=1,b=2"
