"""What checks.quality.columns declares, judged by the rows where the comparison of columns does not judge it."""

from datetime import date, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from perennial.agent.drift import pairs
from perennial.agent.drift.command import run
from perennial.agent.drift.data.current import Current
from perennial.agent.drift.data.privacy import Guard
from perennial.agent.drift.declared import Tally, declared_breaches, declared_needs_rows, shown_parts, tally
from perennial.agent.drift.profiles import read
from perennial.agent.tables.table import Table, partition_of
from perennial.api.contract.commands import HASH_KEY_VARIABLE, CaptureWindow, DriftConfig
from perennial.api.contract.report import DriftReport
from perennial.api.driftmonitor.checks import ColumnConstraint, QualityCheck
from perennial.api.driftmonitor.privacy import Privacy
from perennial.api.driftmonitor.resource import Checks
from tests.unit.agent.drift.store import DIGEST, NOW, MemoryStore, capture_file, capture_uri, parquet, record, tensors

REFERENCE, CURRENT, REPORTS = "s3://data/train/", "s3://data/now/", "s3://reports/"
DAY = date(2026, 3, 1)


def table_of(tmp_path, *parts):
    """Return a table with a partition for each column given, all named c."""
    partitions = []
    for index, values in enumerate(parts):
        path = tmp_path / f"{index}.parquet"
        pl.DataFrame({"c": values}).write_parquet(path)
        partitions.append(partition_of(path, path.name))
    return Table(tuple(partitions))


def declared(**fields):
    return ColumnConstraint(name="c", **fields)


def found(table, *, kind=None, least=None, unreadable=None, **fields):
    current = Current(table, unreadable=unreadable or {})
    kinds = {} if kind is None else {"c": kind}
    breaches = declared_breaches(QualityCheck(columns=(declared(**fields),)), current, kinds, least)
    return tuple(breach.finding for breach in breaches)


@pytest.mark.parametrize(
    ("kind", "values", "wrong"),
    [
        ("number", [1, 2, None], 0),
        ("number", [1.5, float("nan"), float("inf")], 0),
        ("number", ["1", " 2.5 ", "abc", None], 1),
        ("number", [True, False], 2),
        ("number", [DAY], 1),
        ("integer", [1, 2], 0),
        ("integer", [1.0, 2.5, float("inf")], 2),
        ("integer", ["7", "7.0", "7.5", "x"], 2),
        ("text", ["a", None], 0),
        ("text", [1, 2], 2),
        ("boolean", [True, None], 0),
        ("boolean", [0, 1, 2], 1),
        ("boolean", ["true", "False", "yes", "1"], 1),
        ("time", [DAY, None], 0),
        ("time", [datetime(2026, 3, 1, 12)], 0),  # noqa: DTZ001  as in files without a time zone
        ("time", ["2026-03-01", "2026-03-01T09:00:00Z", "2026-03-01 09:00", "2026-02-30", "01/03/2026", "now"], 3),
        ("time", ["2026-03-01T25:00:00Z"], 1),
        ("time", [1_772_000_000], 1),
        ("number", [None, None], 0),
    ],
)
def test_values_of_another_type_are_counted(tmp_path, kind, values, wrong):
    counted = tally(declared(type=kind), table_of(tmp_path, pl.Series("c", values, strict=False)))
    missing = sum(value is None or value != value for value in values)  # noqa: PLR0124  NaN
    assert (counted.rows, counted.values, counted.wrong) == (len(values), len(values) - missing, wrong)


def test_parts_of_different_types_are_counted_each_by_its_own(tmp_path):
    table = table_of(tmp_path, [1, 2, 3], ["4", "x"], [None])
    assert tally(declared(type="integer"), table) == Tally(rows=6, values=5, wrong=1, numbers=4)


@pytest.mark.parametrize(
    ("values", "fields", "finding"),
    [
        ([1, 2, 3, 4], {"type": "text"}, "c: 100% of the values are not texts, the type in checks.quality.columns"),
        (["1", "2", "3", "x"], {"type": "integer"},
         "c: 25% of the values are not whole numbers, the type in checks.quality.columns"),
        (["1", "2", "3", "x"], {"type": "integer", "tolerance": "0.25"}, None),
        ([1, None, None, None], {"max_missing": "0.5"}, "c: 75% missing; the maximum of checks.quality.columns is 50%"),
        ([1, 2, 3, 4], {"max_missing": "0"}, None),
        ([*[1] * 71, *[None] * 29], {"max_missing": "0.29"}, None),
        ([1, 2, 3, 4], {"min": "2"}, "c: 25% of the values are below 2, the minimum of checks.quality.columns"),
        ([1, 2, 3, 4], {"max": "2"}, "c: 50% of the values are above 2, the maximum of checks.quality.columns"),
        ([1, 2, 3, 4], {"min": "1", "max": "4"}, None),
        (["a", "b"], {"min": "1"},
         "c: min and max of checks.quality.columns are not judged, since none of its values is a number"),
        ([1.0, 2.0, 3.0, None], {"values": ("1", "2")},
         "c: 33.3% of the values are not among the 2 of checks.quality.columns"),
        ([[1], [2]], {"type": "number"}, "c: not judged by checks.quality.columns, since it contains lists or records"),
    ],
)  # fmt: skip
def test_a_breach_is_a_finding_with_the_share_of_the_rows(tmp_path, values, fields, finding):
    assert found(table_of(tmp_path, values), **fields) == (() if finding is None else (finding,))


@pytest.mark.parametrize(
    ("kind", "judged", "left"),
    [
        ("numeric", {"min": "2", "max": "3", "max_missing": "0"}, {"values": ("1",)}),
        ("categorical", {"values": ("1",), "max_missing": "0"}, {"min": "2"}),
    ],
)
def test_what_the_comparison_judges_is_not_judged_twice(tmp_path, kind, judged, left):
    table = table_of(tmp_path, [1, 2, 3, None])
    assert found(table, kind=kind, **judged) == ()
    assert len(found(table, kind=kind, **left)) == 1


@pytest.mark.parametrize(
    ("required", "unreadable", "finding"),
    [
        (True, {}, "c: checks.quality.columns requires it, but the current data lacks it"),
        (False, {}, None),
        (False, {"c": "base64"},
         "c: not judged by checks.quality.columns, since no request has it in a readable form"),
    ],
)  # fmt: skip
def test_a_column_that_is_not_there(required, unreadable, finding):
    assert found(Table(()), required=required, unreadable=unreadable) == (() if finding is None else (finding,))


def test_a_share_of_fewer_rows_than_may_be_shown_is_not_told(tmp_path):
    table = table_of(tmp_path, [*range(99), 1000])
    assert found(table, max="99", least=10) == (
        "c: some of the values are above 99, the maximum of checks.quality.columns",
    )


def test_the_order_of_parts_makes_no_difference(tmp_path):
    first, second = [1, 200], ["x", "3"]
    fields = {"type": "number", "min": "2", "max": "100", "values": ("3",)}
    assert found(table_of(tmp_path, first, second), **fields) == found(table_of(tmp_path, second, first), **fields)


def test_what_privacy_hides_is_not_judged_and_that_is_told_without_a_dropped_name():
    columns = (
        ColumnConstraint(name="home", type="text"),
        ColumnConstraint(name="zip", values=("1",), max_missing="0.1"),
        ColumnConstraint(name="name", max_missing="0.1"),
    )
    check, findings = shown_parts(
        QualityCheck(columns=columns), Guard(frozenset({"home"}), frozenset({"zip", "name"}), b"k")
    )
    assert check is not None
    assert [(item.name, item.values, item.max_missing) for item in check.columns] == [
        ("zip", None, "0.1"),
        ("name", None, "0.1"),
    ]
    assert findings == (
        "zip: only required and maxMissing are judged, since privacy.hash hides its values",
        "not judged: 1 column of checks.quality.columns, since privacy.drop leaves them out",
    )


@pytest.mark.parametrize(("fields", "needed"), [({}, False), ({"type": "number"}, True), ({"min": "1"}, False)])
def test_rows_are_needed_for_types_and_for_what_is_not_compared(fields, needed):
    check = QualityCheck(columns=(declared(**fields),))
    assert declared_needs_rows(check, ("c",)) is needed
    assert declared_needs_rows(check, ("d",)) is True
    assert declared_needs_rows(None, ("c",)) is False


def settings(tmp_path, *columns, **changes):
    quality = QualityCheck(columns=tuple(ColumnConstraint.model_validate(item) for item in columns))
    return DriftConfig(
        **{
            "namespace": "team", "monitor": "churn", "deployment": "churn", "digest": DIGEST, "reference": REFERENCE,
            "current": CURRENT, "report": REPORTS, "scratch": str(tmp_path / "scratch"),
            "checks": Checks(quality=quality), **changes,
        }
    )  # fmt: skip


def rows(count=200, seed=1):
    generator = np.random.default_rng(seed)
    return {"age": generator.normal(40, 8, count).tolist(), "seen": [DAY + timedelta(days=n) for n in range(count)]}


def findings_of(config, current, before=None):
    store = MemoryStore(
        {
            f"{REFERENCE}a.parquet": parquet(rows() if before is None else before),
            f"{CURRENT}a.parquet": parquet(current),
        }
    )
    message = run(config, store, NOW, "churn-1")
    report = DriftReport.model_validate_json(store.objects[f"{REPORTS}churn-1/report.json"])
    assert message.quality_findings == report.quality_findings[:5]
    return report.quality_findings


def test_the_verdict_names_what_is_broken_first(tmp_path):
    config = settings(
        tmp_path,
        {"name": "age", "type": "integer"},
        {"name": "seen", "type": "time"},  # dates are not compared
        {"name": "channel", "values": ["web"]},  # the reference lacks it
        {"name": "plan"},
    )
    current = {**rows(seed=2), "channel": ["web"] * 150 + ["phone"] * 50}
    assert findings_of(config, current) == (
        "age: 100% of the values are not whole numbers, the type in checks.quality.columns",
        "channel: 25% of the values are not among the 1 of checks.quality.columns",
        "plan: checks.quality.columns requires it, but the current data lacks it",
    )


def test_a_text_in_a_csv_file_is_not_parsed(tmp_path):
    codes = [f"{number:05}" for number in range(200)]
    store = MemoryStore(
        {
            f"{side}a.csv": pl.DataFrame({"zip": codes, "age": rows()["age"]}).write_csv().encode()
            for side in (REFERENCE, CURRENT)
        }
    )
    run(settings(tmp_path, {"name": "zip", "type": "text"}), store, NOW, "churn-1")
    report = DriftReport.model_validate_json(store.objects[f"{REPORTS}churn-1/report.json"])
    assert report.quality_findings == ()


def test_columns_that_privacy_hides(tmp_path, monkeypatch):
    monkeypatch.setenv(HASH_KEY_VARIABLE, "0123456789abcdef0123456789abcdef")
    privacy = Privacy.model_validate(
        {"drop": ["seen"], "hash": {"columns": ["plan"], "keySecret": {"name": "privacy", "key": "hash"}}}
    )
    config = settings(tmp_path, {"name": "seen", "type": "number"}, {"name": "plan", "values": ["a"]}, privacy=privacy)
    both = {**rows(), "plan": ["a", "b"] * 100}
    findings = findings_of(config, both, both)
    assert findings == (
        "plan: only required and maxMissing are judged, since privacy.hash hides its values",
        "not judged: 1 column of checks.quality.columns, since privacy.drop leaves them out",
    )


def test_captured_columns_that_the_reference_lacks_are_kept_if_they_are_declared(tmp_path):
    batch = {"age": rows()["age"], "channel": ["web"] * 199 + ["fax"]}
    store = MemoryStore(
        {
            f"{REFERENCE}a.parquet": parquet({"age": rows()["age"]}),
            capture_uri("s3://capture/", NOW): capture_file(record(tensors(**batch))),
        }
    )
    window = CaptureWindow(uri="s3://capture/", seconds=7200, digest=DIGEST)
    message = run(settings(tmp_path, {"name": "channel", "values": ["web"]}, current=window), store, NOW, "churn-1")
    assert message.quality_findings == ("channel: 0.5% of the values are not among the 1 of checks.quality.columns",)


def test_a_window_read_by_profiles_says_what_it_cannot_judge(tmp_path, monkeypatch):
    for module in (pairs, read):
        monkeypatch.setattr(module, "EXACT_ROWS", 100)
    hours = [NOW - timedelta(hours=index) for index in (2, 3)]
    values = np.random.default_rng(3).normal(40, 8, 400)
    store = MemoryStore(
        {
            f"{REFERENCE}a.parquet": parquet({"age": values}),
            **{
                capture_uri("s3://capture/", at): capture_file(record(tensors(age=values.tolist()), at=at))
                for at in hours
            },
        }
    )
    window = CaptureWindow(uri="s3://capture/", seconds=86_400, digest=DIGEST)
    message = run(settings(tmp_path, {"name": "age", "values": ["1"]}, current=window), store, NOW, "churn-1")
    (finding,) = message.quality_findings
    assert finding.startswith(
        "age: checks.quality.columns is judged in part only, since the window was read by profiles"
    )
