"""When a live object still holds all that was applied to it."""

from typing import Any

import pytest

from perennial.runtime.controller.diff import covers

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


@pytest.mark.parametrize(
    ("found", "wanted", "same"), [(True, True, True), (1, True, True), (False, True, False), ("1", 1, True)]
)
def test_leaves(found: object, wanted: object, same: bool) -> None:
    assert covers({"leaf": found}, {"leaf": wanted}) is same
