"""The cache: the newest version wins, what is gone stays gone, and the right ones are woken."""

from typing import Any

import pytest

from perennial.core.kinds import DRIFT_MONITOR, JOB, MODEL_DEPLOYMENT, POD, TRAINING_JOB, Key, Kind, Raw
from perennial.core.labels import KIND_LABEL, NAME_LABEL
from perennial.runtime.controller.cache import Cache


def names(raw: Any) -> tuple[Key, ...]:
    return tuple(Key(kind, raw["metadata"]["namespace"], name) for kind, name in raw["spec"].get("names", ()))


@pytest.fixture
def cache() -> Cache:
    return Cache({"TrainingJob": names, "ModelDeployment": names, "DriftMonitor": names})


def resource(name: str, version: int, *, uid: str = "", namespace: str = "n", **spec: Any) -> Raw:
    metadata = {"name": name, "namespace": namespace, "uid": uid or name, "resourceVersion": str(version)}
    return {"metadata": metadata, "spec": spec}


def owned(name: str, version: int, owner: str, kind: str = "TrainingJob", uid: str = "") -> Raw:
    raw = resource(name, version, uid=uid)
    raw["metadata"]["labels"] = {KIND_LABEL: kind, NAME_LABEL: owner}
    raw["metadata"]["ownerReferences"] = [{"kind": kind, "uid": owner, "controller": True}]
    return raw


JOB_A = Key("TrainingJob", "n", "a")


def version_of(cache: Cache, kind: Kind, name: str) -> str | None:
    found = cache.get(kind, "n", name)
    return found["metadata"]["resourceVersion"] if found else None


def test_only_a_newer_version_is_taken_in(cache: Cache) -> None:
    assert cache.put(TRAINING_JOB, resource("a", 10)) == {JOB_A}
    assert cache.put(TRAINING_JOB, resource("a", 10)) == frozenset()
    assert cache.put(TRAINING_JOB, resource("a", 9)) == frozenset()
    assert version_of(cache, TRAINING_JOB, "a") == "10"
    assert cache.put(TRAINING_JOB, resource("a", 100)) == {JOB_A}
    assert version_of(cache, TRAINING_JOB, "a") == "100"


def test_a_version_that_is_no_number_is_taken_in(cache: Cache) -> None:
    raw = resource("a", 10)
    raw["metadata"]["resourceVersion"] = "opaque"
    cache.put(TRAINING_JOB, resource("a", 10))
    assert cache.put(TRAINING_JOB, raw) == {JOB_A}


def test_a_late_event_does_not_bring_back_what_was_deleted(cache: Cache) -> None:
    cache.put(JOB, owned("j", 10, "a"))
    assert cache.remove(JOB, owned("j", 20, "a")) == {JOB_A}
    assert cache.put(JOB, owned("j", 15, "a")) == frozenset()
    assert cache.get(JOB, "n", "j") is None


def test_a_child_whose_labels_come_back_comes_back(cache: Cache) -> None:
    cache.put(JOB, owned("j", 10, "a"))
    cache.remove(JOB, owned("j", 20, "a"))
    assert cache.put(JOB, owned("j", 30, "a")) == {JOB_A}
    assert cache.put(JOB, owned("j", 31, "a")) == {JOB_A}


def test_what_is_gone_for_good_does_not_come_back_in_any_version(cache: Cache) -> None:
    cache.put(JOB, owned("j", 10, "a"))
    cache.remove(JOB, owned("j", 10, "a"), final=True)
    assert cache.put(JOB, owned("j", 99, "a")) == frozenset()


def test_a_successor_of_the_same_name_is_another_object(cache: Cache) -> None:
    cache.put(TRAINING_JOB, resource("a", 10, uid="old"))
    assert cache.put(TRAINING_JOB, resource("a", 20, uid="new")) == {JOB_A}
    assert cache.remove(TRAINING_JOB, resource("a", 15, uid="old")) == frozenset()
    assert cache.put(TRAINING_JOB, resource("a", 18, uid="old")) == frozenset()
    assert version_of(cache, TRAINING_JOB, "a") == "20"


def test_children_are_found_by_their_labels_and_by_name(cache: Cache) -> None:
    for name in ("j2", "j1"):
        cache.put(JOB, owned(name, 1, "a"))
    cache.put(JOB, owned("other", 1, "b"))
    cache.put(POD, owned("p", 1, "a"))
    assert [raw["metadata"]["name"] for raw in cache.children(JOB, JOB_A, "a")] == ["j1", "j2"]
    assert [raw["metadata"]["name"] for raw in cache.children(POD, JOB_A, "a")] == ["p"]
    assert cache.children(JOB, Key("TrainingJob", "m", "a"), "a") == ()
    cache.remove(JOB, owned("j1", 2, "a"))
    assert [raw["metadata"]["name"] for raw in cache.children(JOB, JOB_A, "a")] == ["j2"]


def test_a_child_that_changes_its_owner_wakes_both(cache: Cache) -> None:
    cache.put(JOB, owned("j", 1, "a"))
    assert cache.put(JOB, owned("j", 2, "b")) == {JOB_A, Key("TrainingJob", "n", "b")}
    assert cache.children(JOB, JOB_A, "a") == ()


@pytest.mark.parametrize("labels", [{}, {KIND_LABEL: "Secret", NAME_LABEL: "a"}, {KIND_LABEL: "TrainingJob"}])
def test_labels_that_name_nothing_of_ours_wake_nobody(cache: Cache, labels: dict[str, str]) -> None:
    raw = resource("j", 1)
    raw["metadata"]["labels"] = labels
    assert cache.put(JOB, raw) == frozenset()


def test_a_change_wakes_those_who_name_it_and_those_it_names(cache: Cache) -> None:
    model = Key("ModelDeployment", "n", "m")
    cache.put(MODEL_DEPLOYMENT, resource("m", 1, names=[("TrainingJob", "a")]))
    assert cache.put(TRAINING_JOB, resource("a", 2)) == {JOB_A, model}
    assert cache.put(MODEL_DEPLOYMENT, resource("m", 3, names=[("TrainingJob", "a")])) == {JOB_A, model}
    assert [raw["metadata"]["name"] for raw in cache.naming(MODEL_DEPLOYMENT, JOB_A)] == ["m"]
    assert cache.naming(DRIFT_MONITOR, JOB_A) == ()


def test_naming_something_else_wakes_the_former_as_well(cache: Cache) -> None:
    cache.put(MODEL_DEPLOYMENT, resource("m", 1, names=[("TrainingJob", "a")]))
    woken = cache.put(MODEL_DEPLOYMENT, resource("m", 2, names=[("TrainingJob", "b")]))
    assert Key("TrainingJob", "n", "b") in woken
    assert cache.naming(MODEL_DEPLOYMENT, JOB_A) == ()


def test_a_deleted_resource_wakes_itself_and_its_neighbours(cache: Cache) -> None:
    cache.put(TRAINING_JOB, resource("a", 1))
    cache.put(MODEL_DEPLOYMENT, resource("m", 2, names=[("TrainingJob", "a")]))
    assert cache.remove(TRAINING_JOB, resource("a", 3)) == {JOB_A, Key("ModelDeployment", "n", "m")}
    assert cache.keys(TRAINING_JOB) == []
    assert len(cache.naming(MODEL_DEPLOYMENT, JOB_A)) == 1


def test_a_list_takes_away_what_a_watch_missed(cache: Cache) -> None:
    cache.put(JOB, owned("gone", 10, "a"))
    cache.put(JOB, owned("there", 11, "b"))
    assert cache.prune(JOB, None, {"there"}, "20") == {JOB_A}
    assert cache.get(JOB, "n", "gone") is None
    assert cache.put(JOB, owned("gone", 15, "a")) == frozenset()


def test_a_list_leaves_what_is_newer_than_itself_and_what_lies_elsewhere(cache: Cache) -> None:
    cache.put(JOB, owned("newer", 30, "a"))
    elsewhere = owned("elsewhere", 10, "a")
    elsewhere["metadata"]["namespace"] = "m"
    cache.put(JOB, elsewhere)
    assert cache.prune(JOB, "n", set(), "20") == frozenset()
    assert version_of(cache, JOB, "newer") == "30"
    assert cache.get(JOB, "m", "elsewhere") is not None


def test_only_so_many_of_the_dead_are_remembered(cache: Cache) -> None:
    for number in range(10_000):
        cache.remove(JOB, owned("j", 1, "a", uid=str(number)))
    assert len(cache._gone) == 8192


def test_no_index_keeps_what_is_gone(cache: Cache) -> None:
    cache.put(MODEL_DEPLOYMENT, resource("m", 1, names=[("TrainingJob", "a")]))
    cache.put(JOB, owned("j", 2, "a"))
    cache.remove(MODEL_DEPLOYMENT, resource("m", 3, names=[("TrainingJob", "a")]))
    cache.remove(JOB, owned("j", 4, "a"))
    assert not cache._naming
    assert not cache._named
    assert not cache._shelves["Job"].by_owner
    assert set(cache.counts().values()) == {0}
