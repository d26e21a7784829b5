"""When a live object still holds all that was applied to it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perennial.runtime.controller.diff import covers, first_difference, projection

DESIRED: dict[str, Any] = {
    "spec": {"containers": [{"name": "a", "image": "x:1", "resources": {"limits": {"cpu": "1000m", "memory": "1Gi"}}}]}
}


def live(**container: Any) -> dict[str, Any]:
    base = {"name": "a", "image": "x:1", "resources": {"limits": {"cpu": "1", "memory": "1024Mi"}}}
    return {"spec": {"containers": [{**base, "imagePullPolicy": "IfNotPresent", **container}], "added": True}}


def test_defaults_and_canonical_quantities_do_not_matter() -> None:
    assert covers(live(), DESIRED)


@pytest.mark.parametrize(
    "changed",
    [
        live(image="x:2"),
        live(resources={"limits": {"cpu": "2", "memory": "1Gi"}}),
        live(resources={}),
        {"spec": {"containers": [*live()["spec"]["containers"], {"name": "sidecar"}]}},
        {"spec": {}},
        {},
        {"spec": None},
        {"spec": {"containers": "text"}},
    ],
    ids=["image", "quantity", "removed", "element added", "list gone", "empty", "null", "wrong type"],
)
def test_an_edit_by_hand_is_seen(changed: dict[str, Any]) -> None:
    assert not covers(changed, DESIRED)


def test_what_the_server_does_not_store_counts_as_there() -> None:
    assert covers({}, {"emptyDir": {}, "list": [], "nothing": None})
    assert not covers({"emptyDir": {"medium": "Memory"}}, {"emptyDir": {}})


def test_a_label_more_in_a_selector_is_a_difference() -> None:
    found = {"spec": {"selector": {"a": "1", "b": "2"}}}
    wanted = {"spec": {"selector": {"a": "1"}}}
    assert not covers(found, wanted)
    assert first_difference(found, wanted) == "spec.selector"
    assert projection(found, wanted) == found


@pytest.mark.parametrize(
    ("found", "wanted", "same"), [(True, True, True), (1, True, True), (False, True, False), ("1", 1, True)]
)
def test_leaves(found: object, wanted: object, same: bool) -> None:
    assert covers({"leaf": found}, {"leaf": wanted}) is same


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(0, 3) | st.sampled_from(["a", "1", "500m", ""]),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["x", "y", "selector"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("live", "desired", "path"),
    [
        ({"spec": {"replicas": 1, "more": 2}}, {"spec": {"replicas": 1}}, None),
        ({"spec": {"replicas": 1}}, {"spec": {"replicas": 2}}, "spec.replicas"),
        ({"spec": {"a": [{"b": 1}, {"b": 2}]}}, {"spec": {"a": [{"b": 1}, {"b": 3}]}}, "spec.a[1].b"),
        ({"spec": {"a": [1]}}, {"spec": {"a": [1, 2]}}, "spec.a"),
        ({"spec": {}}, {"spec": {"a": {"b": 1}}}, "spec.a"),
        ({"cpu": "1"}, {"cpu": "1000m"}, None),
    ],
)
def test_the_first_difference_is_named_by_its_path(live: Any, desired: Any, path: str | None) -> None:
    assert first_difference(live, desired) == path


@given(VALUES, VALUES)
def test_a_difference_is_found_exactly_where_something_is_not_covered(live: Any, desired: Any) -> None:
    assert (first_difference(live, desired) is None) is covers(live, desired)
    assert covers(projection(live, desired), desired) is covers(live, desired)
