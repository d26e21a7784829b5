"""Shards that do not merge read no row of the reference; what they know of it changes no result."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perennial.agent.drift.profiles.plan import ColumnPlan
from perennial.agent.drift.shards.outline import Outline, OutlineStore
from perennial.agent.storage.errors import AgentError
from perennial.api.contract.commands import RunReference
from perennial.api.contract.manifest import InputManifest
from perennial.api.contract.messages import DriftVerdict, ShardWritten
from perennial.api.driftmonitor.checks import QualityCheck
from perennial.api.driftmonitor.resource import Checks, Features
from perennial.core.failures import ACCESS_DENIED
from perennial.stats.grid import Grid
from tests.unit.agent.drift.captured import CAPTURE, REFERENCE, REPORTS, columns, config, stored
from tests.unit.agent.drift.shards import test_shards
from tests.unit.agent.drift.shards.test_shards import one_pod, result, shard
from tests.unit.agent.drift.store import MemoryStore, entry, manifest, parquet

URI = f"{REPORTS}_shards/team/churn/reference.json"
SHARDS = 3

long = test_shards.long
values = test_shards.values


def compared(store, asked, uid):
    """Run the shards of a Job; return their messages, and how often each has read a file of the reference."""
    messages, read = [], []
    for index in range(SHARDS):
        store.downloaded.clear()
        messages.append(shard(store, asked, index, uid))
        read.append(sum(not uri.startswith(CAPTURE) for uri in store.downloaded))
    return messages, read


@pytest.fixture
def asked(tmp_path):
    return config(tmp_path, shards=SHARDS)


def test_only_the_first_shard_ever_and_those_that_merge_read_the_reference(values, asked):
    store = stored(values)
    expected = one_pod(store, asked)
    for uid, counts in (("uid-1", [1, 0, 1]), ("uid-2", [0, 0, 1])):
        messages, read = compared(store, asked, uid)
        assert [type(message) for message in messages] == [ShardWritten, ShardWritten, DriftVerdict]
        assert read == counts
        assert result(store) == expected


def test_the_outline_is_written_once(values, asked):
    store = stored(values)
    compared(store, asked, "uid-1")
    store.types.clear()
    compared(store, asked, "uid-2")
    assert URI not in store.types


def test_another_reference_is_read_anew(values, asked):
    store = stored(values)
    shard(store, asked, 0)
    store.objects[f"{REFERENCE}0.parquet"] = parquet({**columns(7, 900, moved=2.0), "more": [1.5] * 900})
    store.objects[f"{REFERENCE}1.parquet"] = parquet(columns(8, 300))
    assert compared(store, asked, "uid-2")[1] == [2, 0, 2]
    assert result(store) == one_pod(store, asked)


@pytest.mark.parametrize(
    "changes",
    [
        {"features": Features(exclude=("normal",))},
        {"features": Features(include=("whole", "plan"))},
        {"features": Features(types={"steps": "categorical"})},
        {"checks": Checks(quality=QualityCheck(columns=[{"name": "whole", "min": "20", "max": "40"}]))},
        {"checks": Checks()},
    ],
)
def test_other_settings_read_the_reference_anew(values, asked, changes):
    store = stored(values)
    shard(store, asked, 0)
    other = asked.model_copy(update=changes)
    messages, read = compared(store, other, "uid-2")
    assert isinstance(messages[-1], DriftVerdict)
    assert read == [1, 0, 1]
    assert result(store) == one_pod(store, other)


@pytest.mark.parametrize("content", [b"", b"{}", b"[1", b'{"key":"x","columns":[],"counted":[]}'])
def test_what_is_no_outline_is_replaced(values, asked, content):
    store = stored(values)
    store.objects[URI] = content
    assert compared(store, asked, "uid-1")[1] == [1, 0, 1]
    assert store.objects[URI] != content
    assert result(store) == one_pod(store, asked)


def altered(change):
    def apply(data):
        found = json.loads(data)
        change(found)
        return json.dumps(found).encode()

    return apply


@pytest.mark.parametrize(
    "change",
    [
        altered(lambda found: found["counted"][0]["grid"].update(center=50.0)),
        altered(lambda found: found["counted"].pop()),
        altered(lambda found: found["columns"].pop()),
    ],
    ids=["grid", "column not counted", "column not known"],
)
def test_a_wrong_outline_gives_no_verdict_and_is_corrected_for_the_next_comparison(values, asked, change):
    store = stored(values)
    shard(store, asked, 0)
    true = store.objects[URI]
    store.objects[URI] = change(true)
    assert [type(message) for message in compared(store, asked, "uid-2")[0]] == [ShardWritten] * SHARDS
    assert f"{REPORTS}{test_shards.JOB}/report.json" not in store.objects
    assert store.objects[URI] == true
    assert isinstance(compared(store, asked, "uid-3")[0][-1], DriftVerdict)
    assert result(store) == one_pod(store, asked)


def test_a_digest_that_the_reference_does_not_have_is_refused_by_every_shard(values, asked):
    store = stored(values)
    shard(store, asked, 0)
    pinned = asked.model_copy(update={"reference_digest": "sha256:" + "0" * 64})
    for index in range(SHARDS):
        with pytest.raises(AgentError) as caught:
            shard(store, pinned, index, "uid-2")
        assert caught.value.failure.reason == "ReferenceChanged"


def test_inputs_of_a_training_are_known_by_their_files_and_verified_when_they_are_read(values, asked):
    store = stored(values)
    data = store.objects.pop(f"{REFERENCE}0.parquet")
    store.objects["s3://inputs/0.parquet"] = data
    listed = InputManifest(
        name="data", uri="s3://inputs/", digest="sha256:" + "1" * 64, files=(entry("0.parquet", data),)
    )
    published = manifest(listed)
    store.objects["s3://models/1/manifest.json"] = json.dumps(published.dump()).encode()
    trained = asked.model_copy(update={"reference": RunReference(uri="s3://models/1/", digest=published.digest)})
    assert compared(store, trained, "uid-1")[1] == [1, 0, 1]
    assert result(store) == one_pod(store, trained)
    store.downloaded.clear()
    shard(store, trained, 0, "uid-2")
    assert "s3://inputs/0.parquet" not in store.downloaded
    store.objects["s3://inputs/0.parquet"] = data[:-1] + b"0"
    with pytest.raises(AgentError, match="the reference has changed since training"):
        shard(store, trained, 0, "uid-3")


class Closed(MemoryStore):
    """Storage that neither reads nor writes the outline."""

    def get_version(self, uri, limit):
        if uri == URI:
            raise AgentError(ACCESS_DENIED, f"{uri}: 403")
        return super().get_version(uri, limit)

    def put_bytes(self, uri, data, content_type):
        if uri == URI:
            raise AgentError(ACCESS_DENIED, f"{uri}: 403")
        super().put_bytes(uri, data, content_type)


def test_an_outline_that_cannot_be_kept_costs_no_verdict(values, asked):
    store = Closed(stored(values).objects)
    messages, read = compared(store, asked, "uid-1")
    assert isinstance(messages[-1], DriftVerdict)
    assert read == [1, 1, 1]
    assert result(store) == one_pod(store, asked)


numbers = st.floats(allow_nan=False, allow_infinity=False)
grids = st.none() | st.builds(
    Grid, numbers, st.floats(min_value=0, exclude_min=True, allow_infinity=False), st.booleans()
)
plans = st.builds(
    ColumnPlan,
    st.text(st.characters(codec="utf-8"), max_size=5),
    grids,
    st.lists(st.floats(allow_nan=False), max_size=3).map(tuple),
    st.booleans(),
    st.booleans(),
)


@given(kept=st.lists(plans, max_size=4).map(tuple), names=st.lists(st.text(st.characters(codec="utf-8"))).map(tuple))
def test_what_is_kept_is_read_again_to_the_last_digit(kept, names):
    place = OutlineStore(MemoryStore(), URI, "k")
    place.save(Outline(names, kept))
    found = place.load()
    assert found is not None
    assert (found.columns, repr(found.plans)) == (names, repr(kept))
