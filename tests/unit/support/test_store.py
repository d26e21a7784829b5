"""The rules of the store behind the fakes: those of the API server that controllers rely on."""

from __future__ import annotations

from typing import Any

import pytest

from perennial.adapters.errors import ApiError
from perennial.core.kinds import JOB, POD, TRAINING_JOB, Key, Raw
from tests.support.builders import job, pod, training_job
from tests.support.memory import Store

OWNER = Key(TRAINING_JOB.kind, "default", "churn")


def service(**spec: Any) -> Raw:
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a", "namespace": "default"}, "spec": spec}


def test_a_field_that_its_manager_leaves_out_goes_unless_another_set_it() -> None:
    store = Store()
    store.apply(service(own=1, shared=1, map={"own": 1}), "first")
    store.apply(service(shared=1), "second")
    store.live("Service", "a")["spec"]["map"]["edited"] = 1

    store.apply(service(new=1), "first")

    assert store.live("Service", "a")["spec"] == {"shared": 1, "map": {"edited": 1}, "new": 1}


def test_what_an_object_was_created_with_stays() -> None:
    store = Store()
    store.create(service(own=1))
    store.apply(service(own=2, more=1), "first")
    store.apply(service(more=1), "first")

    assert store.live("Service", "a")["spec"] == {"own": 2, "more": 1}


def test_a_new_object_of_the_name_has_no_managers() -> None:
    store = Store()
    store.apply(service(own=1), "first")
    store.remove("Service", "a")
    store.put(service(own=1))
    store.apply(service(), "first")

    assert store.live("Service", "a")["spec"] == {"own": 1}


def test_the_spec_raises_the_generation_and_an_equal_write_changes_nothing() -> None:
    store = Store()
    first = store.apply(service(port=1), "first")
    assert store.apply(service(port=1), "first") is first

    second = store.apply(service(port=2), "first")
    assert second["metadata"]["generation"] == first["metadata"]["generation"] + 1
    assert second["metadata"]["resourceVersion"] != first["metadata"]["resourceVersion"]
    assert second["metadata"]["uid"] == first["metadata"]["uid"]
    assert store.replace_status(second, {"a": 1})["metadata"]["generation"] == second["metadata"]["generation"]


def test_status_of_an_older_version_other_uids_and_second_creates_are_refused() -> None:
    store = Store()
    seen = store.put(training_job())
    store.update({**seen, "spec": {}})
    with pytest.raises(ApiError, match="modified"):
        store.replace_status(seen, {})
    with pytest.raises(ApiError, match="precondition"):
        store.delete(TRAINING_JOB.kind, "default", "churn", "older")
    with pytest.raises(ApiError, match="exists"):
        store.create(training_job())
    with pytest.raises(ApiError, match="uid mismatch"):
        store.apply(training_job(uid="older"), "first")


def test_children_are_followed_through_their_owners() -> None:
    owned = [{"kind": "TrainingJob", "name": "churn", "uid": "tj-1", "controller": True}]
    of_job = [{"kind": "Job", "name": "own", "uid": "j1", "controller": True}]
    of_other = [{"kind": "Job", "name": "other", "uid": "j2", "controller": True}]
    store = Store.of(
        [
            job("own", uid="j1", ownerReferences=owned),
            job("other", uid="j2", ownerReferences=[{**owned[0], "uid": "tj-0"}]),
            pod("a", "Running", meta={"uid": "p1", "ownerReferences": of_job}),
            pod("b", "Running", meta={"uid": "p2", "ownerReferences": of_other}),
        ]
    )

    assert [raw["metadata"]["name"] for raw in store.children(JOB, OWNER, "tj-1")] == ["own"]
    assert [raw["metadata"]["name"] for raw in store.children(POD, OWNER, "tj-1")] == ["a"]
