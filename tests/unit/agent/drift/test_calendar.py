"""Comparisons of calendar windows: each request is in one of them, and each of them counts once."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from perennial.agent.drift import pairs
from perennial.agent.drift.command import run
from perennial.agent.drift.data.span import labelled_span, span_notes
from perennial.agent.drift.data.window import read_window, window_files
from perennial.agent.drift.history.store import FILE
from perennial.agent.drift.profiles import read
from perennial.api.contract.commands import CalendarPeriod, CaptureWindow, DriftConfig
from perennial.api.contract.messages import DriftVerdict, NoVerdict
from perennial.api.contract.report import DriftReport
from tests.unit.agent.drift.store import DIGEST, MemoryStore, capture_file, capture_uri, parquet, record, tensors

REFERENCE, CAPTURE, REPORTS = "s3://data/train/", "s3://capture/churn/", "s3://reports/churn/"
HOUR = timedelta(hours=1)
MONDAY = datetime(2026, 2, 2, tzinfo=UTC)
WEEK = {"name": "2026-W05", "since": "2026-01-26T00:00:00Z", "until": "2026-02-02T00:00:00Z"}


def window(unit, zone="UTC", delay=900):
    period = CalendarPeriod(unit=unit, time_zone=zone, delay_seconds=delay)
    return CaptureWindow(uri=CAPTURE, calendar=period, digest=DIGEST)


def config(tmp_path, source, **changes):
    return DriftConfig(
        **{
            "namespace": "team", "monitor": "churn", "deployment": "churn", "digest": DIGEST, "reference": REFERENCE,
            "current": source, "report": REPORTS, "scratch": str(tmp_path), **changes,
        }
    )  # fmt: skip


def requests(moments, rows=10, moved=0.0):
    """Return capture files with one request at each moment, whose column x has the request's number."""
    files: dict[str, list[bytes]] = {}
    generator = np.random.default_rng(3)
    for number, at in enumerate(moments):
        values = {"x": generator.normal(moved, 1, rows).tolist(), "n": [float(number)] * rows}
        files.setdefault(capture_uri(CAPTURE, at), []).append(record(tensors(**values), at=at))
    return {uri: capture_file(*records) for uri, records in files.items()}


def stored(moments, **options):
    reference = {"x": np.random.default_rng(1).normal(0, 1, 500), "n": np.arange(500.0) % 9}
    return MemoryStore({f"{REFERENCE}0.parquet": parquet(reference), **requests(moments, **options)})


def compare(store, settings, now, job="churn-1"):
    found = run(settings, store, now, job)
    assert isinstance(found, DriftVerdict)
    return found, DriftReport.model_validate_json(store.objects[f"{REPORTS}{job}/report.json"])


def every(step, since, until):
    return [since + index * step for index in range(int((until - since) / step))]


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "Asia/Kolkata"])
@pytest.mark.parametrize(("unit", "start"), [("Hour", "2026-01-26"), ("Day", "2026-03-27"), ("Day", "2026-10-23")])
def test_each_request_is_in_exactly_one_window(tmp_path, unit, zone, start):
    """Also where the clock of the zone is changed, and if requests lie in the folder of a neighbouring hour."""
    first = datetime.fromisoformat(start).replace(tzinfo=UTC)
    step, length = (timedelta(minutes=15), 6) if unit == "Hour" else (timedelta(minutes=450), 24 * 4)
    moments = [moment - timedelta(milliseconds=1) * (index % 2) for index, moment in
               enumerate(every(step, first, first + length * HOUR))]  # fmt: skip
    store = stored(moments, rows=1)
    seen = []
    for index in range(-30, length + 60):
        now = first + index * HOUR + timedelta(minutes=50)
        source = window(unit, zone)
        found = read_window(
            store, source, window_files(store, source, now), folder(tmp_path, index), now=now, wanted={"n"}
        )
        names = tuple(found.table.column("n").to_list()) if found.table.rows else ()
        if names and (not seen or seen[-1] != names):
            seen.append(names)
    assert [number for names in seen for number in names] == [float(number) for number in range(len(moments))]


def folder(tmp_path, index):
    path = tmp_path / f"at-{index}"
    path.mkdir()
    return path


def test_a_comparison_names_its_week_and_a_later_one_says_the_same(tmp_path):
    store = stored(every(6 * HOUR, MONDAY - timedelta(days=9), MONDAY + timedelta(days=5)))
    settings = config(tmp_path, window("Week", "Etc/UTC"))
    first, report = compare(store, settings, MONDAY + timedelta(minutes=30), "churn-1")
    late, again = compare(store, settings, MONDAY + timedelta(days=5), "churn-2")
    assert first.dump()["window"] == late.dump()["window"] == report.dump()["window"] == WEEK
    assert first.current_rows == late.current_rows == 7 * 4 * 10
    assert report.features == again.features
    assert report.current.description == "captured requests of the week 2026-W05 (Etc/UTC)"
    assert report.notes[0] == (
        "Compared is the week 2026-W05 (Etc/UTC), from 2026-01-26 00:00 until 2026-02-02 00:00 UTC."
    )


def test_a_window_whose_requests_may_still_arrive_is_left_to_a_later_comparison(tmp_path):
    store = stored(every(6 * HOUR, MONDAY - timedelta(days=16), MONDAY))
    settings = config(tmp_path, window("Week", delay=3600))
    found, report = compare(store, settings, MONDAY + timedelta(minutes=59))
    assert found.window is not None
    assert found.window.name == "2026-W04"
    assert report.notes[1] == (
        "The week 2026-W05 (UTC) has ended, but its requests may still arrive (current.calendar.delay): let the "
        "schedule start comparisons later to compare it sooner."
    )
    assert span_notes(settings.current, MONDAY + HOUR) == (
        "Compared is the week 2026-W05 (UTC), from 2026-01-26 00:00 until 2026-02-02 00:00 UTC.",
    )


def test_a_window_without_requests_is_named(tmp_path):
    found = run(config(tmp_path, window("Day")), stored([]), MONDAY + HOUR, "churn-1")
    assert isinstance(found, NoVerdict)
    assert found.reason == "WindowEmpty"
    assert "in the day 2026-02-01 (UTC): send requests, set a longer current.calendar.unit," in found.message


def test_a_window_that_is_compared_again_takes_the_place_of_the_first_in_the_history(tmp_path):
    store = stored(every(HOUR, MONDAY - timedelta(days=8), MONDAY))
    settings = config(tmp_path, window("Day"))
    for days in range(-6, 1):
        for again in (1, 5, 20):
            now = MONDAY + timedelta(days=days, hours=again)
            found, report = compare(store, settings, now, f"churn-{days}-{again}")
    assert report.history is not None
    assert (len(report.history.times), report.history.trend_windows, found.trend) == (7, 7, "Steady")
    assert report.history.previous == "2026-02-01T20:00:00Z"
    assert store.objects[f"{REPORTS}{FILE}"]
    index = store.objects[f"{REPORTS}index.html"].decode()
    assert index.count("/report.html") == 7
    assert "<th>Window</th>" in index
    assert "<td>2026-02-01</td>" in index


@pytest.fixture
def long(monkeypatch):
    """Treat windows from 200 rows on as long."""
    for module in (pairs, read):
        monkeypatch.setattr(module, "EXACT_ROWS", 200)


@pytest.mark.usefixtures("long")
@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "Asia/Kolkata"])
def test_profiles_of_hours_give_the_same_result_and_hours_beside_the_window_are_not_read_again(tmp_path, zone):
    store = stored(every(HOUR / 2, MONDAY - timedelta(days=3), MONDAY + timedelta(hours=3)))
    settings = config(tmp_path, window("Day", zone))
    compare(store, config(tmp_path, CaptureWindow(uri=CAPTURE, seconds=5 * 86_400, digest=DIGEST)), MONDAY + HOUR / 3)
    store.downloaded.clear()
    now = MONDAY + timedelta(minutes=30)
    with_profiles, report = compare(store, settings, now, "churn-2")
    read_again = [uri for uri in store.downloaded if uri.startswith(CAPTURE)]
    without = MemoryStore({uri: data for uri, data in store.objects.items() if "_profiles" not in uri})
    expected, other = compare(without, settings, now, "churn-3")
    assert with_profiles.current_rows == expected.current_rows == 24 * 2 * 10
    assert [(item.name, item.score) for item in report.features] == [(item.name, item.score) for item in other.features]
    # The newest hours may still get files; a zone with half an hour cuts the hours at both ends of the day.
    hours = {"UTC": ["02-02 00", "02-02 01"], "Europe/Berlin": ["02-02 00"], "Asia/Kolkata": ["01-31 18", "02-01 18"]}
    assert [f"{name[10:15]} {name[21:23]}" for name in (uri.removeprefix(CAPTURE) for uri in read_again)] == hours[zone]


def test_labels_are_compared_with_a_window_that_does_not_depend_on_the_start():
    source = window("Week")
    starts = [MONDAY + timedelta(minutes=30), MONDAY + timedelta(days=6)]
    assert {labelled_span(source, now, timedelta(days=7)).text for now in starts} == {"the week 2026-W04 (UTC)"}
    assert {labelled_span(source, now, timedelta(0)).text for now in starts} == {"the week 2026-W05 (UTC)"}


@pytest.mark.parametrize("given", [{}, {"seconds": 60, "calendar": CalendarPeriod(unit="Day")}])
def test_a_window_has_one_length(given):
    with pytest.raises(ValueError, match="exactly one of seconds and calendar"):
        CaptureWindow(uri=CAPTURE, digest=DIGEST, **given)
