from datetime import timedelta

import numpy as np
import pytest

from perennial.agent.drift import gather, pairs
from perennial.agent.drift.command import run
from perennial.agent.drift.profiles import hour, read
from perennial.agent.storage.errors import AgentError
from perennial.api.contract.report import DriftReport
from perennial.api.driftmonitor.checks import QualityCheck
from perennial.api.driftmonitor.privacy import Privacy
from perennial.api.driftmonitor.resource import Checks
from perennial.api.driftmonitor.segments import Segment
from perennial.api.driftmonitor.whole import MultivariateCheck
from perennial.core.failures import ACCESS_DENIED
from tests.unit.agent.drift.captured import (
    CAPTURE,
    DAY,
    HOUR,
    REPORTS,
    a_file,
    columns,
    config,
    listed,
    outcome,
    stored,
)
from tests.unit.agent.drift.store import NOW, MemoryStore, capture_file, capture_uri, record, tensors


@pytest.fixture(autouse=True)
def long(monkeypatch):
    """Treat windows from 200 rows on as long."""
    for module in (pairs, read):
        monkeypatch.setattr(module, "EXACT_ROWS", 200)


def report(store, settings, now=NOW):
    """Compare, and return the report and the capture files that were downloaded for it."""
    store.downloaded.clear()
    run(settings, store, now, "churn-1")
    found = DriftReport.model_validate_json(store.objects[f"{REPORTS}churn-1/report.json"])
    return found, [uri for uri in store.downloaded if uri.startswith(CAPTURE)]


def whole(store, settings, now=NOW):
    """Compare without profiles."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gather, "MOST_COLUMNS", -1)
        return report(MemoryStore(dict(store.objects)), settings, now)[0]


def profiles(store):
    return sorted(uri for uri in store.objects if "/_profiles/" in uri)


def test_a_second_comparison_reads_no_closed_hour_twice_and_says_the_same(tmp_path):
    store, settings = stored(columns(2, 600, moved=0.5)), config(tmp_path)
    first, read_first = report(store, settings)
    second, read_second = report(store, settings)
    expected = outcome(whole(store, settings))
    assert outcome(first) == expected
    assert outcome(second) == expected
    assert (len(read_first), len(profiles(store))) == (9, 8)
    assert read_second == [capture_uri(CAPTURE, NOW)]
    assert "8 of 9 hours with requests were read from their profiles." in second.notes
    assert {feature.name: feature.drifted for feature in second.features}["normal"]
    assert [item.name for item in second.not_compared] == ["id"]


def test_a_window_that_is_short_on_both_sides_is_read_whole(tmp_path):
    store, settings = stored(columns(2, 150), reference=columns(1, 150)), config(tmp_path)
    report(store, settings)
    again, downloaded = report(store, settings)
    assert outcome(again) == outcome(whole(store, settings))
    assert len(downloaded) == 9


def test_an_hour_is_read_again_if_a_file_came_late_was_replaced_or_is_gone(tmp_path):
    values = columns(2, 600)
    store, settings = stored(values), config(tmp_path)
    report(store, settings)
    late = a_file(columns(3, 60, moved=3.0), range(60), DAY[5])
    store.objects[capture_uri(CAPTURE, DAY[5], "late")] = late
    store.objects[capture_uri(CAPTURE, DAY[6])] = late
    del store.objects[capture_uri(CAPTURE, DAY[7])]
    again, downloaded = report(store, settings)
    assert outcome(again) == outcome(whole(store, settings))
    expected = {capture_uri(CAPTURE, NOW), capture_uri(CAPTURE, DAY[5], "late")}
    assert set(downloaded) == {*expected, capture_uri(CAPTURE, DAY[5]), capture_uri(CAPTURE, DAY[6])}
    assert report(store, settings)[1] == [capture_uri(CAPTURE, NOW)]


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-9], lambda data: data[:9], lambda _: b"", lambda _: b"PAR1" * 9]
)
def test_a_damaged_profile_is_computed_again(tmp_path, damage):
    store, settings = stored(columns(2, 600)), config(tmp_path)
    report(store, settings)
    chosen = profiles(store)[3]
    intact, store.objects[chosen] = store.objects[chosen], damage(store.objects[chosen])
    again, downloaded = report(store, settings)
    assert outcome(again) == outcome(whole(store, settings))
    assert len(downloaded) == 2
    assert store.objects[chosen] == intact


def test_a_profile_of_another_hour_is_not_taken(tmp_path):
    store, settings = stored(columns(2, 600)), config(tmp_path)
    report(store, settings)
    first, second = profiles(store)[:2]
    store.objects[first] = store.objects[second]
    again, downloaded = report(store, settings)
    assert outcome(again) == outcome(whole(store, settings))
    assert len(downloaded) == 2


def test_records_that_leave_the_window_are_left_out_whatever_hour_their_file_lies_in(tmp_path):
    """A clock that was wrong: half of the records of an hour inside the window are older than that hour."""
    values = columns(2, 600)
    store, settings = stored(values), config(tmp_path)
    old, recent = NOW - timedelta(hours=23, minutes=30), DAY[8]
    both = (record(tensors(**listed(values, range(40))), at=at) for at in (old, recent))
    store.objects[capture_uri(CAPTURE, recent)] = capture_file(*both)
    report(store, settings)
    later = NOW + HOUR
    again, downloaded = report(store, settings, later)
    assert outcome(again) == outcome(whole(store, settings, later))
    assert capture_uri(CAPTURE, recent) in downloaded  # since a record of it is outside the window now
    assert any("outside the window" in note for note in again.notes)


@pytest.mark.parametrize(
    "changes",
    [
        {"checks": Checks(quality=QualityCheck(columns=[{"name": "normal", "min": "-1"}]))},
        {"features": {"types": {"whole": "categorical"}}},
    ],
)
def test_other_settings_use_no_earlier_profile(tmp_path, changes):
    store = stored(columns(2, 600))
    report(store, config(tmp_path))
    settings = config(tmp_path, **changes)
    again, downloaded = report(store, settings)
    assert len(downloaded) == 9
    assert outcome(again) == outcome(whole(store, settings))
    assert report(store, settings)[1] == [capture_uri(CAPTURE, NOW)]


@pytest.mark.parametrize(
    "checks",
    [Checks(multivariate=MultivariateCheck()), Checks(quality=QualityCheck(max_duplicates="0.01"))],
    ids=["multivariate", "duplicates"],
)
def test_checks_of_rows_see_the_rows_of_a_long_window(tmp_path, checks):
    values = columns(2, 600)
    twice = {name: np.concatenate([column[:300], column[:300]]) for name, column in values.items()}
    store, settings = stored(twice), config(tmp_path, checks=checks)
    report(store, settings)
    again, _ = report(store, settings)
    assert outcome(again) == outcome(whole(store, settings))
    assert all(check.why is None for check in again.checks)
    assert again.checks or "repeat another one" in " ".join(again.quality_findings)


@pytest.mark.parametrize("changes", [{"segments": [Segment(column="plan")]}, {"privacy": Privacy()}, {"report": None}])
def test_no_profile_is_written_where_rows_are_needed_or_rare_values_must_not_be_kept(tmp_path, changes):
    store = stored(columns(2, 600))
    run(config(tmp_path, **changes), store, NOW, "churn-1")
    assert profiles(store) == []


def test_a_column_with_too_many_values_is_read_and_named(tmp_path, monkeypatch):
    monkeypatch.setattr(hour, "MOST_VALUES", 20)
    store, settings = stored(columns(2, 600)), config(tmp_path)
    report(store, settings)
    again, downloaded = report(store, settings)
    assert len(downloaded) == 9
    assert outcome(again) == outcome(whole(store, settings))
    assert any(note.startswith("All requests were read again, since column ") for note in again.notes)


def test_texts_beside_numbers_are_read(tmp_path):
    values = columns(2, 600)
    store, settings = stored(values), config(tmp_path)
    odd = {**listed(values, range(5)), "normal": ["1.5", "high", "", "2", "nan"]}
    store.objects[capture_uri(CAPTURE, DAY[4])] = capture_file(record(tensors(**odd), at=DAY[4]))
    again, _ = report(store, settings)
    assert outcome(again) == outcome(whole(store, settings))
    assert "All requests were read again, since column normal has texts or booleans beside other values." in again.notes


def test_a_column_that_some_hours_lack_is_missing_there(tmp_path):
    values = columns(2, 600)
    store, settings = stored(values), config(tmp_path)
    few = {name: values[name] for name in ("whole", "flag")}
    store.objects[capture_uri(CAPTURE, DAY[3])] = a_file(few, range(200), DAY[3])
    report(store, settings)
    again, _ = report(store, settings)
    assert outcome(again) == outcome(whole(store, settings))
    assert {feature.name: feature.current.missing for feature in again.features}["normal"] == 200


def test_files_that_cannot_be_decoded_are_told_each_time_and_refused_if_all_are_so(tmp_path):
    store, settings = stored(columns(2, 600)), config(tmp_path)
    store.objects[capture_uri(CAPTURE, DAY[3])] = b"not gzip"
    report(store, settings)
    again, downloaded = report(store, settings)
    assert outcome(again) == outcome(whole(store, settings))
    assert any("1 of 9 capture files could not be read" in finding for finding in again.quality_findings)
    assert len(downloaded) == 1
    for uri in [uri for uri in store.objects if uri.startswith(CAPTURE)]:
        store.objects[uri] = b"not gzip"
    with pytest.raises(AgentError, match="nor can 8 other files"):
        report(store, settings)


def test_storage_that_refuses_profiles_costs_time_only(tmp_path, monkeypatch):
    store, settings = stored(columns(2, 600)), config(tmp_path)
    put = store.put_bytes

    def refuse(uri, data, content_type):
        if "/_profiles/" in uri:
            raise AgentError(ACCESS_DENIED, f"access to {uri} denied")
        put(uri, data, content_type)

    monkeypatch.setattr(store, "put_bytes", refuse)
    found, _ = report(store, settings)
    assert outcome(found) == outcome(whole(store, settings))
    assert any(note.startswith("Profiles of hours could not all be kept: access to ") for note in found.notes)
