"""What is kept of every comparison, and what a later one says about it."""

import json
import re
from datetime import timedelta

import polars as pl
import pytest

from perennial.agent.drift.history.rows import SCHEMA, Foreign, decode, encode, merge, newest, rows_of
from perennial.agent.drift.history.store import remember
from perennial.agent.drift.history.summary import Comparison, apart, summarise
from perennial.agent.drift.report.html import render
from perennial.agent.drift.report.index import RUNS, render_index
from perennial.agent.storage.errors import AgentError
from perennial.api.contract.report import CheckReport, ColumnSide, DriftReport, FeatureReport, Side
from perennial.api.driftmonitor.window import CalendarWindow
from perennial.core.failures import ACCESS_DENIED
from perennial.core.repeats import repeat_name
from perennial.core.times import format_time
from tests.unit.agent.drift.store import NOW, MemoryStore, parquet

FOLDER = "s3://reports/churn/"
FILE = f"{FOLDER}history.parquet"
DAY, YEAR = timedelta(days=1), timedelta(days=365)
COLUMN = ColumnSide(rows=100, missing=0, missing_share=0, distinct=3)
EMPTY = pl.DataFrame(schema=SCHEMA)


def feature(name, score, method="linf"):
    return FeatureReport(
        name=name, kind="numeric", method=method, score=score, threshold=0.1, statistic=score, drifted=score >= 0.1,
        badness=score / 0.1, why="why", sentence="What.", reference=COLUMN, current=COLUMN,
    )  # fmt: skip


def report(scores, days_ago=0.0, job=None, **changes):
    """Return the report of a comparison of columns with these scores, which drift from 0.1."""
    drifted = sum(score >= 0.1 for score in scores.values())
    return DriftReport(
        **{
            "job": job or f"m-{1000 - days_ago:g}", "time": format_time(NOW - days_ago * DAY), "namespace": "team",
            "monitor": "m", "deployment": "d", "digest": "sha256:a", "run": "churn-3", "drifted": drifted > 0,
            "drifted_features": drifted, "compared_features": len(scores), "share_threshold": 0.3,
            "reference": Side(uri="s3://d/x/", description="data", rows=100),
            "current": Side(uri="s3://d/y/", description="data", rows=100),
            "features": tuple(feature(name, score) for name, score in scores.items()), **changes,
        }
    )  # fmt: skip


def kept(*reports):
    rows = EMPTY
    for item in reports:
        rows = merge(rows, rows_of(item), NOW, YEAR)
    return rows


def told(*reports, window=DAY):
    return summarise(kept(*reports), reports[-1], window)


def test_every_score_of_a_comparison_is_a_row():
    checks = (
        CheckReport(check="performance", metric="rocAuc", value=0.7, low=0.6, high=0.8, failed=True),
        CheckReport(check="fairness", metric="disparateImpact", subject="sex: F vs M", why="too few"),
    )
    rows = rows_of(report({"age": 0.4, "plan": 0.01}, checks=checks, quality_findings=("1 missing column",)))
    found = rows.select("kind", "column", "method", "score", "threshold", "drifted").rows()
    assert found == [
        ("verdict", None, "share", 0.5, 0.3, True),
        ("drift", "age", "linf", 0.4, 0.1, True),
        ("drift", "plan", "linf", 0.01, 0.1, False),
        ("performance", None, "rocAuc", 0.7, None, True),
        ("fairness", "sex: F vs M", "disparateImpact", None, None, None),
        ("quality", None, "findings", 1.0, 1.0, True),
    ]
    assert rows.select("time", "monitor", "job", "run", "digest").unique().rows() == [
        (NOW, "team/m", "m-1000", "churn-3", "sha256:a")
    ]


def test_what_is_written_is_what_is_read():
    rows = kept(report({"age": 0.4}))
    read = decode(encode(rows))
    assert read is not None
    assert read.equals(rows)


def test_a_file_that_was_begun_before_there_were_calendar_windows_is_read_on():
    rows = kept(report({"age": 0.4}))
    read = decode(encode(rows.drop("window", "since", "until")))
    assert read is not None
    assert read.equals(rows)


def of_day(scores, number, days_ago=0.0, **changes):
    """Return the report of a comparison of one day of February."""
    window = {"name": f"2026-02-{number:02}", "since": f"2026-02-{number:02}T00:00:00Z",
              "until": f"2026-02-{number + 1:02}T00:00:00Z"}  # fmt: skip
    return report(scores, days_ago, window=CalendarWindow(**window), **changes)


def test_a_calendar_window_counts_once_for_each_model():
    rows = kept(of_day({"age": 0.4}, 1, 3), of_day({"age": 0.3}, 1, 2), of_day({"age": 0.2}, 2, 1),
                of_day({"age": 0.1}, 2, 0, digest="sha256:b"))  # fmt: skip
    assert rows.filter(kind="drift").select("window", "score").rows() == [
        ("2026-02-01", 0.3), ("2026-02-02", 0.2), ("2026-02-02", 0.1)
    ]  # fmt: skip


def test_the_trend_follows_the_order_of_windows_not_of_comparisons():
    """A window that is compared again, later than the next one, stays in its place; later ones are not told."""
    days = [of_day({"age": number / 10}, number, 30 - number) for number in range(1, 8)]
    again = of_day({"age": 0.3}, 3, 0.5)
    history = told(*days, again)
    assert (history.times[-1], history.trend_windows) == (again.time, 3)
    history = told(*days, again, of_day({"age": 0.8}, 8))
    assert history.trend_windows == 8
    assert history.columns["age"].points == (1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0)


def test_the_area_of_embeddings_is_told_relative_to_chance():
    def of_text(auc, days_ago=0.0):
        made = report({"text": 0.0}, days_ago)
        changes = {"method": "auc", "score": auc, "threshold": 0.6, "badness": max(0.0, (auc - 0.5) / 0.1)}
        return made.model_copy(update={"features": (made.features[0].model_copy(update=changes),)})

    history = told(of_text(0.45, 2), of_text(0.7, 1), of_text(0.6))
    assert history.columns["text"].points == pytest.approx((0.0, 2.0, 1.0), rel=1e-3)


def test_windows_that_overlap_after_a_change_of_the_unit_count_once():
    month = CalendarWindow(name="2026-01", since="2026-01-01T00:00:00Z", until="2026-02-01T00:00:00Z")
    week = CalendarWindow(name="2026-W05", since="2026-01-26T00:00:00Z", until="2026-02-02T00:00:00Z")
    history = told(report({"age": 0.4}, 2, window=month), report({"age": 0.4}, 1, window=week), of_day({"age": 0.4}, 2))
    assert (len(history.times), history.trend_windows) == (3, 2)


def test_a_comparison_counts_once_however_often_its_job_runs():
    first, second = report({"age": 0.4}, 1, job="m-29"), report({"age": 0.2}, 0, job="m-29")
    rows = kept(first, second)
    assert rows.filter(kind="drift")["score"].to_list() == [0.2]


def test_a_job_that_repeats_a_lost_one_takes_its_place():
    rows = kept(report({"age": 0.4}, 2, job="m-28"), report({"age": 0.3}, 1, job="m-29"),
                report({"age": 0.2}, 0, job=repeat_name("m", "m-29")))  # fmt: skip
    assert rows.filter(kind="drift")["score"].to_list() == [0.4, 0.2]


def test_old_comparisons_are_dropped_but_not_those_of_another_monitor():
    rows = kept(report({"age": 0.1}, 366, monitor="other"), report({"age": 0.2}, 366), report({"age": 0.3}, 364),
                report({"age": 0.4}))  # fmt: skip
    assert rows.filter(kind="drift")["score"].to_list() == [0.1, 0.3, 0.4]


def test_the_number_of_rows_is_bounded_and_no_comparison_is_cut():
    rows = kept(*(report({"age": 0.4, "plan": 0.2}, days) for days in (3, 2, 1)))
    size = rows.height // 3
    assert newest(rows, 3 * size).height == 3 * size
    assert newest(rows, 2 * size + 1).height == 2 * size


def test_the_report_says_since_when_a_column_has_drifted_and_what_has_changed():
    history = told(
        report({"age": 0.4, "plan": 0.0, "zip": 0.2}, 4),
        report({"age": 0.0, "plan": 0.0, "zip": 0.2}, 3),
        report({"age": 0.4, "plan": 0.0}, 2),
        report({"age": 0.4, "plan": 0.0, "zip": 0.2}, 1),
        report({"age": 0.4, "plan": 0.2, "zip": 0.0}),
    )
    assert (history.newly_drifted, history.recovered) == (("plan",), ("zip",))
    assert history.previous == format_time(NOW - DAY)
    ages = {name: (column.since, column.in_a_row) for name, column in history.columns.items()}
    assert ages == {"age": (format_time(NOW - 2 * DAY), 3), "plan": (format_time(NOW), 1), "zip": (None, 0)}
    assert history.columns["zip"].points == (2.0, 2.0, None, 2.0, 0.0)
    assert history.shares == (0.6667, 0.3333, 0.5, 0.6667, 0.6667)


def test_a_first_comparison_has_no_history():
    history = told(report({"age": 0.4}))
    assert (history.previous, history.newly_drifted, history.trend) == (None, (), "Unknown")
    assert history.columns["age"].since == format_time(NOW)


@pytest.mark.parametrize("other", [{"digest": "sha256:b"}, {"monitor": "n"}, {"namespace": "elsewhere"}])
def test_comparisons_of_another_model_or_monitor_do_not_count(other):
    earlier = [report({"age": 0.4}, days, **other) for days in range(9, 0, -1)]
    history = told(*earlier, report({"age": 0.4}))
    assert (history.previous, len(history.times), history.trend_windows) == (None, 1, 1)
    assert history.columns["age"].in_a_row == 1


def test_the_trend_is_judged_from_five_windows_on():
    scores = [{f"c{index}": 0.2 if index < drifted else 0.0 for index in range(10)} for drifted in range(6)]
    rising = [report(each, 5 - days) for days, each in enumerate(scores)]
    assert told(*rising).trend == "Rising"
    assert told(*rising[2:]).trend == "Unknown"
    assert told(*rising[2:]).trend_windows == 4


def test_overlapping_windows_are_no_trend():
    """One change, seen by hourly comparisons of a day: half of them are before it."""
    times = [NOW - timedelta(hours=hours) for hours in range(48, -1, -1)]
    every = [Comparison(time, f"m-{index}", float(index >= 24)) for index, time in enumerate(times)]
    assert [item.time for item in apart(every, DAY)] == [NOW - timedelta(hours=44), NOW - timedelta(hours=22), NOW]
    assert len(apart(every, timedelta(0))) == 14


def keep(store, item, pause=lambda _: None):
    return remember(store, FOLDER, rows_of(item), now=NOW, keep=YEAR, pause=pause)


def test_two_writers_at_once_lose_nothing():
    class Busy(MemoryStore):
        def replace_version(self, uri, data, content_type, etag):
            if "m-late" not in self.types:
                self.types["m-late"] = ""
                assert keep(self, report({"age": 0.1}, monitor="other")).rows is not None
            return super().replace_version(uri, data, content_type, etag)

    store, waits = Busy(), []
    result = keep(store, report({"age": 0.4}), waits.append)
    assert result.rows is not None
    assert len(waits) == 1
    assert set(result.rows["monitor"]) == {"team/m", "team/other"}


def test_a_file_that_always_changes_is_told():
    class Hopeless(MemoryStore):
        def replace_version(self, uri, data, content_type, etag):
            return False

    result = keep(Hopeless(), report({"age": 0.4}))
    assert result.rows is None
    assert "was changed by others" in (result.note or "")


@pytest.mark.parametrize("data", [b"", b"no parquet", encode(kept(report({"age": 0.4})))[:-40]])
def test_a_damaged_file_is_kept_under_another_name_and_told(data):
    store = MemoryStore({FILE: data})
    result = keep(store, report({"age": 0.4}))
    other = f"{FOLDER}_damaged-history-20260310T123000Z.parquet"
    assert store.objects[other] == data
    assert other in (result.note or "")
    assert decode(store.objects[FILE]) is not None


def test_a_file_of_other_data_is_left_alone_and_told():
    data = parquet({"age": [1.0, 2.0]})
    store = MemoryStore({FILE: data})
    result = keep(store, report({"age": 0.4}))
    assert (result.rows, store.objects) == (None, {FILE: data})
    assert "holds other columns (age)" in (result.note or "")
    with pytest.raises(Foreign):
        decode(data)


def test_storage_that_may_not_be_read_is_told():
    class Closed(MemoryStore):
        def get_version(self, uri, limit):
            raise AgentError(ACCESS_DENIED, f"{uri}: the storage responded 403")

    result = keep(Closed(), report({"age": 0.4}))
    assert result.rows is None
    assert result.note == f"The history of comparisons was not kept: {FILE}: the storage responded 403."


def test_the_index_lists_verdicts_newest_first_with_links():
    failed = CheckReport(check="performance", metric="rocAuc", value=0.7, low=0.6, high=0.8, failed=True)
    unknown = CheckReport(check="fairness", metric="disparateImpact", subject="sex: F vs M", why="too few")
    evil = report({"age": 0.0}, 2, job='../.."><script>', run="<b>")
    rows = kept(evil, report({"age": 0.4}, 1), report({"age": 0.0}, checks=(failed, unknown)))
    page = render_index(rows)
    assert re.findall(r'href="([^"]*)"', page) == [
        "./m-1000/report.html",
        "./m-999/report.html",
        "./..%2F..%22%3E%3Cscript%3E/report.html",
    ]
    assert "<script" not in page
    assert "<b>" not in page
    assert "Performance is beyond its limits; Fairness not judged" in page
    assert "The data has drifted" in page
    assert "1 of 1 drifted" in page
    assert "prefers-color-scheme:dark" in page
    assert "<th>Monitor</th>" not in page
    assert "<th>Monitor</th>" in render_index(kept(report({"age": 0.4}, monitor="other"), report({"age": 0.4})))


def test_the_index_is_bounded():
    rows = kept(report({"age": 0.4}))
    times = pl.int_range(0, RUNS + 5, eager=True)
    many = pl.concat(
        rows.with_columns(time=pl.col("time") - timedelta(hours=hour), job=pl.lit(f"m-{hour}")) for hour in times
    )
    page = render_index(many)
    assert page.count("href=") == RUNS
    assert f"the newest {RUNS:,} of {RUNS + 5:,}" in page
    assert len(page) < 400_000


def test_a_page_with_trends_of_200_columns_stays_below_a_megabyte():
    scores = {f"column-{index:03}": 0.05 + 0.001 * index for index in range(200)}
    runs = [report({name: score * (1 + day % 3) for name, score in scores.items()}, day) for day in range(60, 0, -1)]
    last = report(scores)
    history = told(*runs, last)
    page = render(last.model_copy(update={"history": history}))
    assert page.count('class="trend"') == 201
    assert len(page.encode()) < 1_000_000
    assert "Newly drifted" in page or "No longer drifted" in page
    assert "The share of drifted columns" in page
    restored = DriftReport.model_validate(json.loads(last.model_copy(update={"history": history}).to_json()))
    assert restored.history == history
