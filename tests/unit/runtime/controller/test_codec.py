"""Objects are kept small, and read back as they were."""

import copy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from perennial.core.kinds import JOB, POD, TRAINING_JOB
from perennial.runtime.controller.codec import pack, unpack

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(0, 3) | st.sampled_from(["a", "1", "500m", ""]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("xyz"), inner, max_size=3),
    max_leaves=8,
)


JOB_IN_FULL: dict[str, Any] = {
    "metadata": {
        "name": "a",
        "managedFields": [1],
        "labels": {"x": "y"},
        "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}", "mine": "1"},
    },
    "spec": {"suspend": True, "template": {"spec": {}}},
}


def test_what_is_kept_is_small_and_the_object_given_stays_as_it_is() -> None:
    given = copy.deepcopy(JOB_IN_FULL)

    assert unpack(pack(JOB, given)) == {
        "metadata": {"name": "a", "labels": {"x": "y"}, "annotations": {"mine": "1"}},
        "spec": {"suspend": True},
    }
    assert given == JOB_IN_FULL
    assert "template" in unpack(pack(TRAINING_JOB, given))["spec"]


def test_of_a_pods_containers_only_what_they_reserve_is_kept() -> None:
    requests = {"cpu": "1"}
    given = {
        "metadata": {},
        "spec": {
            "nodeName": "n",
            "volumes": [{"name": "v"}],
            "initContainers": [{"name": "a", "restartPolicy": "Always", "resources": {"requests": requests}}],
            "containers": [{"name": "b", "env": [1], "resources": {"limits": {}, "requests": requests}}, {"name": "c"}],
        },
        "status": {"phase": "P"},
    }
    kept = {"resources": {"requests": requests}}
    before = copy.deepcopy(given)
    assert unpack(pack(POD, given)) == {
        "metadata": {},
        "spec": {
            "nodeName": "n",
            "initContainers": [{"restartPolicy": "Always", **kept}],
            "containers": [kept, {}],
        },
        "status": {"phase": "P"},
    }
    assert given == before
    bare = {"metadata": {}, "spec": {"containers": [], "nodeName": "n"}}
    assert unpack(pack(POD, bare)) == bare


@given(VALUES)
def test_what_is_kept_is_read_as_it_was(value: Any) -> None:
    raw = {"metadata": {"name": "a"}, "spec": {"value": value, "odd": "\ud800"}}

    assert unpack(pack(TRAINING_JOB, raw)) == raw
