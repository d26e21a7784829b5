import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from perennial.agent.drift import command, gather, pairs
from perennial.agent.drift.command import run
from perennial.agent.drift.profiles import hour, read
from perennial.agent.drift.shards import read as shards_read
from perennial.agent.storage.errors import AgentError
from perennial.api.contract.commands import JOB_UID_VARIABLE, WORKER_VARIABLE, CalendarPeriod, CaptureWindow
from perennial.api.contract.messages import DriftVerdict, NoVerdict, ShardWritten
from perennial.api.contract.report import DriftReport
from perennial.api.driftmonitor.checks import Predictions, QualityCheck
from perennial.api.driftmonitor.resource import Checks
from perennial.api.driftmonitor.segments import Segment
from tests.unit.agent.drift.captured import CAPTURE, DAY, HOUR, REPORTS, a_file, columns, config, outcome, stored
from tests.unit.agent.drift.store import DIGEST, NOW, MemoryStore, capture_uri, parquet

JOB = "churn-1"
FOLDER = f"{REPORTS}_shards/team/churn/{JOB}/uid-1/"


@pytest.fixture(autouse=True)
def long(monkeypatch):
    """Treat windows from 200 rows on as long."""
    for module in (pairs, read, shards_read):
        monkeypatch.setattr(module, "EXACT_ROWS", 200)


@pytest.fixture(scope="module")
def values():
    return columns(2, 600, moved=0.5)


def shard(store, asked, index, uid="uid-1", now=NOW):
    """Run one shard; return its message."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(WORKER_VARIABLE, str(index))
        patch.setenv(JOB_UID_VARIABLE, uid)
        return run(asked, store, now, JOB)


def report(store) -> DriftReport:
    return DriftReport.model_validate_json(store.objects[f"{REPORTS}{JOB}/report.json"])


def result(store):
    """Return all that the report says of the data, without its sentences: they round means, which are sums."""
    found = outcome(report(store))
    return {**found, "features": [{**item, "sentence": ""} for item in found["features"]]}


def one_pod(store, asked, now=NOW):
    """Return what a single pod reports of the same data, without profiles of hours."""
    alone = MemoryStore({uri: data for uri, data in store.objects.items() if not uri.startswith(REPORTS)})
    run(asked.model_copy(update={"shards": None}), alone, now, JOB)
    return result(alone)


def files_of(store):
    return [uri for uri in store.downloaded if uri.startswith(CAPTURE)]


@settings(max_examples=3, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    data=st.data(),
    count=st.integers(2, 4),
    hours=st.sampled_from([DAY, DAY[:2], DAY[2:3]]),
    seed=st.integers(2, 99),
)
def test_count_order_and_repeats_of_shards_change_no_result_and_one_gives_the_verdict(data, count, hours, seed):
    order = data.draw(st.permutations(range(count)))
    repeated = data.draw(st.lists(st.sampled_from(range(count)), max_size=1))
    with tempfile.TemporaryDirectory() as folder:
        store, asked = stored(columns(seed, 600, moved=0.2), hours), config(Path(folder), shards=count)
        first = {index: shard(store, asked, index) for index in order}
        # The last one that has files: with fewer files than shards some have none, and nobody waits for those.
        (merged,) = (index for index, message in first.items() if isinstance(message, DriftVerdict))
        assert merged == order[-1] or len(hours) < count
        expected = one_pod(store, asked)
        assert result(store) == expected
        again = {index: shard(store, asked, index) for index in repeated}
        assert {index for index, message in again.items() if isinstance(message, DriftVerdict)} <= {merged}
        assert result(store) == expected


def test_each_capture_file_is_read_by_one_shard(tmp_path, values):
    store, asked = stored(values), config(tmp_path, shards=3)
    read_by = []
    for index in range(3):
        store.downloaded.clear()
        shard(store, asked, index)
        read_by.append(files_of(store))
    assert sorted(uri for some in read_by for uri in some) == sorted(capture_uri(CAPTURE, at) for at in DAY)
    assert [len(some) for some in read_by] == [3, 3, 3]
    assert "The 9 files of the window were read by 3 shards." in report(store).notes


def test_closed_hours_are_kept_and_not_read_by_the_next_comparison(tmp_path, values):
    store, asked = stored(values), config(tmp_path, shards=3)
    for index in range(3):
        shard(store, asked, index)
    store.downloaded.clear()
    for index in range(3):
        shard(store, asked, index, uid="uid-2")
    assert files_of(store) == [capture_uri(CAPTURE, NOW)]
    assert result(store) == one_pod(store, asked)


def test_the_files_of_a_divided_hour_make_no_profile_of_the_hour(tmp_path, values):
    store, asked = stored(values, DAY[2:3]), config(tmp_path, shards=2)
    store.objects[capture_uri(CAPTURE, DAY[2], "other")] = a_file(columns(3, 200), range(200), DAY[2])
    for index in range(2):
        shard(store, asked, index)
    assert not [uri for uri in store.objects if "/_profiles/" in uri]
    assert result(store) == one_pod(store, asked)


def test_the_window_is_that_of_the_first_shard(tmp_path, values):
    store, asked = stored(values), config(tmp_path, shards=2)
    expected = one_pod(store, asked)
    shard(store, asked, 0)
    late = a_file(columns(3, 60, moved=3.0), range(60), DAY[5])
    store.objects[capture_uri(CAPTURE, DAY[5], "late")] = late
    found = shard(store, asked, 1, now=NOW + 5 * HOUR)
    assert isinstance(found, DriftVerdict)
    assert found.time == "2026-03-10T12:30:00Z"
    assert result(store) == expected


def test_a_calendar_window_is_divided_like_any_other(tmp_path, values):
    """The files begin at 4:30 of the day and end at 12:30, and a shard that starts late still takes that day."""
    window = CaptureWindow(uri=CAPTURE, calendar=CalendarPeriod(unit="Day"), digest=DIGEST)
    store, asked = stored(values), config(tmp_path, shards=3, current=window)
    tomorrow = NOW + 13 * HOUR
    expected = one_pod(store, asked, tomorrow)
    late = [tomorrow, tomorrow, tomorrow + 24 * HOUR]
    messages = [shard(store, asked, index, now=now) for index, now in enumerate(late)]
    assert isinstance(messages[-1], DriftVerdict)
    assert messages[-1].window is not None
    assert messages[-1].current_rows == 600
    assert result(store) == expected


def test_a_job_of_the_same_name_begins_anew(tmp_path, values):
    store, asked = stored(values), config(tmp_path, shards=2)
    for index in range(2):
        shard(store, asked, index)
    store.objects[capture_uri(CAPTURE, DAY[5], "late")] = a_file(columns(3, 60), range(60), DAY[5])
    messages = [shard(store, asked, index, uid="uid-2") for index in range(2)]
    assert [type(message) for message in messages] == [ShardWritten, DriftVerdict]
    assert result(store) == one_pod(store, asked)


def test_a_shard_that_lost_what_it_wrote_is_noticed_and_writes_it_again(tmp_path, values):
    store, asked = stored(values), config(tmp_path, shards=3)
    shard(store, asked, 0)
    first = next(uri for uri in store.objects if uri.startswith(f"{FOLDER}shard-00"))
    written = store.objects.pop(first)
    assert isinstance(shard(store, asked, 1), ShardWritten)
    assert isinstance(shard(store, asked, 2), ShardWritten)
    assert isinstance(shard(store, asked, 0), DriftVerdict)
    assert store.objects[first] == written
    assert result(store) == one_pod(store, asked)


def test_the_shard_that_merges_does_so_again_after_it_was_lost_and_no_other(tmp_path, values, monkeypatch):
    store, asked = stored(values), config(tmp_path, shards=3)
    shard(store, asked, 0)
    shard(store, asked, 2)
    with monkeypatch.context() as patch:
        patch.setattr(command, "compare_columns", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            shard(store, asked, 1)
    assert isinstance(shard(store, asked, 0), ShardWritten)
    store.downloaded.clear()
    assert isinstance(shard(store, asked, 1), DriftVerdict)
    assert files_of(store) == []  # what it had counted is still there
    assert result(store) == one_pod(store, asked)


@pytest.mark.parametrize("damage", [lambda data: data[:-9], lambda _: b"", lambda _: None])
def test_a_damaged_part_of_another_shard_is_refused_by_name(tmp_path, values, damage):
    store, asked = stored(values), config(tmp_path, shards=2)
    shard(store, asked, 0)
    uri = next(uri for uri in store.objects if uri.startswith(f"{FOLDER}shard-00"))
    store.objects[uri] = damage(store.objects[uri]) or b"x"
    with pytest.raises(AgentError, match=r"shard-00-of-02-.*, which shard 0 has written, is gone, damaged or of other"):
        shard(store, asked, 1)


def test_a_part_in_place_of_another_is_not_counted_twice(tmp_path, values):
    store, asked = stored(values), config(tmp_path, shards=3)
    for index in range(2):
        shard(store, asked, index)
    first, second = sorted(uri for uri in store.objects if uri.startswith(f"{FOLDER}shard-"))
    store.objects[first] = store.objects[second]
    with pytest.raises(AgentError, match="which shard 0 has written"):
        shard(store, asked, 2)


def test_shards_that_saw_different_references_do_not_merge(tmp_path, values):
    store, asked = stored(values), config(tmp_path, shards=2)
    shard(store, asked, 0)
    store.objects["s3://data/train/0.parquet"] = parquet(columns(7, 900))
    assert isinstance(shard(store, asked, 1), ShardWritten)
    assert f"{REPORTS}{JOB}/report.json" not in store.objects


def test_a_short_window_is_read_whole_by_the_last_shard(tmp_path):
    store, asked = stored(columns(2, 150), reference=columns(1, 150)), config(tmp_path, shards=3)
    messages = [shard(store, asked, index) for index in range(3)]
    assert isinstance(messages[-1], DriftVerdict)
    assert result(store) == one_pod(store, asked)


def test_a_column_that_needs_its_values_makes_the_last_shard_read_all_and_is_named(tmp_path, values, monkeypatch):
    monkeypatch.setattr(hour, "MOST_VALUES", 20)
    store, asked = stored(values), config(tmp_path, shards=3)
    for index in range(3):
        shard(store, asked, index)
    assert result(store) == one_pod(store, asked)
    assert any(note.startswith("One of them read all requests again, since column ") for note in report(store).notes)


def test_fewer_files_than_shards(tmp_path, values):
    store, asked = stored(values, DAY[2:3]), config(tmp_path, shards=8)
    messages = [shard(store, asked, index) for index in range(8)]
    assert sum(isinstance(message, DriftVerdict) for message in messages) == 1
    assert result(store) == one_pod(store, asked)


def test_files_that_cannot_be_decoded_are_told_and_refused_if_all_are_so(tmp_path, values):
    store, asked = stored(values), config(tmp_path, shards=3)
    for at in (DAY[3], DAY[6]):
        store.objects[capture_uri(CAPTURE, at)] = b"not gzip"
    for index in range(3):
        shard(store, asked, index)
    assert result(store) == one_pod(store, asked)
    assert any("2 of 9 capture files could not be read" in finding for finding in report(store).quality_findings)
    for at in DAY:
        store.objects[capture_uri(CAPTURE, at)] = b"not gzip"
    for index in range(2):
        shard(store, asked, index, uid="uid-2")
    with pytest.raises(AgentError, match="nor can 8 other files"):
        shard(store, asked, 2, uid="uid-2")


def test_one_shard_says_that_the_window_is_empty(tmp_path):
    store, asked = MemoryStore(), config(tmp_path, shards=3)
    messages = [shard(store, asked, index) for index in range(3)]
    assert [type(message) for message in messages] == [NoVerdict, ShardWritten, ShardWritten]
    assert messages[0].reason == "WindowEmpty"


def test_too_few_rows_are_told_by_one_shard(tmp_path):
    store, asked = stored(columns(2, 20)), config(tmp_path, shards=3)
    messages = [shard(store, asked, index) for index in range(3)]
    assert [type(message) for message in messages] == [ShardWritten, ShardWritten, NoVerdict]


def test_too_many_columns_are_refused(tmp_path, values, monkeypatch):
    monkeypatch.setattr(gather, "MOST_COLUMNS", 3)
    with pytest.raises(AgentError, match="the reference has 7 columns to compare, but at most 3 fit shards"):
        shard(stored(values), config(tmp_path, shards=2), 0)


@pytest.mark.parametrize(
    "declared", [{"name": "age", "type": "integer"}, {"name": "not_compared", "required": True}], ids=["type", "apart"]
)
def test_declared_columns_that_need_rows_are_refused(tmp_path, values, declared):
    checks = Checks(quality=QualityCheck(columns=[declared]))
    with pytest.raises(AgentError, match=r"checks\.quality\.columns has a type, or a column that is not compared"):
        shard(stored(values), config(tmp_path, shards=2, checks=checks), 0)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"segments": [Segment(column="plan")]}, "segments needs rows"),
        ({"checks": Checks(quality=QualityCheck(max_duplicates="0.1"))}, "checks.quality.maxDuplicates needs rows"),
        ({"checks": Checks(estimated=[{"metric": "f1", "min": "0.5"}])}, "checks.estimated needs responses"),
        ({"predictions": Predictions(output="p")}, "predictions.output needs responses"),
        ({"report": None}, "report or current.window is not set"),
        ({"current": "s3://data/week/"}, "report or current.window is not set"),
    ],
)
def test_what_shards_would_leave_out_is_refused(tmp_path, values, changes, why):
    with pytest.raises(AgentError, match=f"shards cannot be used: {why}"):
        shard(stored(values), config(tmp_path, shards=2, **changes), 0)


@pytest.mark.parametrize(("index", "uid"), [("2", "u"), ("", "u"), ("-1", "u"), ("0", ""), ("0", "../u")])
def test_an_index_or_uid_that_does_not_fit_is_refused(tmp_path, values, index, uid):
    with pytest.raises(AgentError) as caught:
        shard(stored(values), config(tmp_path, shards=2), index, uid)
    assert caught.value.failure.reason == "AgentConfigInvalid"


@pytest.mark.parametrize(
    "content", [b"{}", b"[", b'{"shards":3,"end":"2026-01-01T00:00:00Z","files":[],"passed_over":[]}']
)
def test_a_list_of_something_else_is_refused(tmp_path, values, content):
    store = stored(values)
    store.objects[f"{FOLDER}files.json"] = content
    with pytest.raises(AgentError, match=r"files\.json is "):
        shard(store, config(tmp_path, shards=2), 0)
