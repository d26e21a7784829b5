import json
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest

from perennial.agent.drift import pairs
from perennial.agent.drift.command import run
from perennial.agent.drift.profiles import read
from perennial.agent.tables import table
from perennial.api.contract.commands import CaptureWindow, DriftConfig
from perennial.api.contract.report import DriftReport
from perennial.api.driftmonitor.checks import ColumnConstraint, QualityCheck
from perennial.api.driftmonitor.privacy import Privacy
from perennial.api.driftmonitor.resource import Checks, DriftCheck, Features
from tests.support.json_schema import problems
from tests.unit.agent.drift.store import DIGEST, NOW, MemoryStore, capture_file, capture_uri, parquet, record, tensors

DATA = Path(__file__).parent / "data"
REFERENCE, CURRENT, REPORTS = "s3://data/train/", "s3://data/now/", "s3://reports/"
NAMES = ("statistics", "constraints", "constraint_violations")
ROWS = 640


def reference():
    """Return rows whose sums are exact, of which three live in a region of their own."""
    row = np.arange(ROWS)
    return {
        "age": row % 64 + 18,
        "income": row * 0.25,
        "balance": (row % 32) - 2.5,
        "visits": row % 4,
        "plan": ["plus" if number % 4 == 0 else "basic" for number in row],
        "region": ["Sark" if number < 3 else "north" if number % 2 else "south" for number in row],
        "seen": [date(2026, 1, 1) + timedelta(days=int(number)) for number in row],
        "churned": row % 2,
    }


def current():
    """Return rows with one violation of each kind."""
    row = np.arange(ROWS)
    return {
        "age": row % 64 + 38,  # drift
        "income": [None if number % 4 == 0 else number * 0.25 for number in row.tolist()],  # completeness
        "balance": (row % 32) - 2.5,
        "visits": row % 4 + np.where(row == 7, 0.5, 0.0),  # type
        "plan": ["gold" if number % 8 == 0 else "plus" if number % 4 == 0 else "basic" for number in row],  # values
        "region": ["Sark" if number < 3 else "north" if number % 2 else "south" for number in row],
        "seen": [date(2027, 1, 1) + timedelta(days=int(number)) for number in row],
        "channel": ["web"] * ROWS,
    }


def settings(tmp_path, **changes):
    return DriftConfig(
        **{
            "namespace": "team", "monitor": "churn", "deployment": "churn", "digest": DIGEST, "reference": REFERENCE,
            "current": CURRENT, "report": REPORTS, "formats": ("SageMaker",), "scratch": str(tmp_path / "scratch"),
            **changes,
        }
    )  # fmt: skip


def store(before=None, now=None):
    return MemoryStore(
        {
            f"{REFERENCE}a.parquet": parquet(reference() if before is None else before),
            f"{CURRENT}a.parquet": parquet(current() if now is None else now),
        }
    )


def written(config, storage=None):
    """Compare, and return the three files by name."""
    storage = store() if storage is None else storage
    run(config, storage, NOW, "churn-1")
    for name in NAMES:
        assert storage.types[f"{REPORTS}churn-1/{name}.json"] == "application/json"
    return {name: json.loads(storage.objects[f"{REPORTS}churn-1/{name}.json"]) for name in NAMES}


def schema(name):
    return json.loads((DATA / f"schema/{name}.schema.json").read_text())


def rounded(document):
    """Return a document with nine significant digits, since the last ones depend on the processor."""
    if isinstance(document, float):
        return float(f"{document:.9g}")
    if isinstance(document, dict):
        return {name: rounded(value) for name, value in document.items()}
    return [rounded(item) for item in document] if isinstance(document, list) else document


def feature(document, name):
    return next(item for item in document["features"] if item["name"] == name)


def checks_of(files):
    return {
        (item["feature_name"], item["constraint_check_type"]) for item in files["constraint_violations"]["violations"]
    }


AGE_TYPE = ("age", "data_type_check")
CASES = {"plain": None, "private": Privacy(minimum_group=40, drop=["plan"])}


@pytest.mark.parametrize("case", CASES)
def test_the_files_of_a_comparison(tmp_path, case):
    files = written(settings(tmp_path, privacy=CASES[case]))
    for name, document in files.items():
        expected = json.loads((DATA / f"{case}/{name}.json").read_text())
        assert rounded(document) == rounded(expected), f"data/{case}/{name}.json"


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", NAMES)
def test_each_file_is_as_documented(tmp_path, name, case):
    assert problems(written(settings(tmp_path, privacy=CASES[case]))[name], schema(name)) == []


@pytest.mark.parametrize(
    ("name", "change", "problem"),
    [
        ("statistics", lambda file: file["dataset"].clear(), "$.dataset: item_count is missing"),
        ("statistics", lambda file: file["features"][0].update(inferred_type="Text"), "'Text' is none of"),
        ("constraints", lambda file: file["features"][0].update(complete=1), "complete is not documented"),
        ("constraints", lambda file: file["features"][0].update(completeness="1"), "'1' is no number"),
        ("constraint_violations", lambda file: file["violations"][0].pop("description"), "description is missing"),
    ],
)
def test_the_schemas_refuse_what_is_not_documented(name, change, problem):
    document = json.loads((DATA / f"plain/{name}.json").read_text())
    change(document)
    (found,) = problems(document, schema(name))
    assert problem in found


def test_each_kind_of_violation_is_found_where_it_is(tmp_path):
    assert checks_of(written(settings(tmp_path))) == {
        ("age", "baseline_drift_check"),
        ("income", "completeness_check"),
        ("visits", "data_type_check"),
        ("plan", "categorical_values_check"),
        ("plan", "baseline_drift_check"),
        ("churned", "missing_column_check"),
        ("channel", "extra_column_check"),
    }


def test_unchanged_data_violate_nothing(tmp_path):
    same = {name: values for name, values in reference().items() if name != "churned"}
    config = settings(tmp_path, features=Features(exclude=("churned",)))
    assert checks_of(written(config, store(now=same))) == set()


def test_nothing_is_written_unless_asked_for(tmp_path):
    storage = store()
    run(settings(tmp_path, formats=None), storage, NOW, "churn-1")
    names = {uri.removeprefix(f"{REPORTS}churn-1/") for uri in storage.objects if "churn-1/" in uri}
    assert names == {"report.json", "report.html"}


def test_the_data_are_read_once(tmp_path, monkeypatch):
    read_columns = []
    original = table._piece
    monkeypatch.setattr(table, "_piece", lambda part, name: read_columns.append(name) or original(part, name))
    counts = []
    for formats in (None, ("SageMaker",)):
        storage = store()
        run(settings(tmp_path, formats=formats), storage, NOW, "churn-1")
        counts.append((sorted(read_columns), storage.downloaded))
        read_columns.clear()
    assert counts[0] == counts[1]


def test_what_fewer_than_the_minimum_have_is_in_no_file(tmp_path):
    files = written(settings(tmp_path, privacy=CASES["private"]))
    told = json.dumps(files)
    assert "Sark" not in told
    assert '"plan"' not in told
    assert "0.156%" not in told  # one row
    numbers = feature(files["statistics"], "income")["numerical_statistics"]
    values = np.sort([value for value in current()["income"] if value is not None])
    assert (numbers["min"], numbers["max"]) == (values[39], values[-40])
    buckets = [
        bucket
        for item in files["statistics"]["features"]
        for bucket in item.get("numerical_statistics", {}).get("distribution", {"kll": {"buckets": []}})["kll"][
            "buckets"
        ]
    ]
    assert buckets
    assert all(bucket["count"] == 0 or bucket["count"] >= 40 for bucket in buckets)


def test_a_column_that_the_window_lacks_is_in_its_constraints_only(tmp_path):
    now = {name: values for name, values in current().items() if name != "plan"}
    files = written(settings(tmp_path, features=Features(include=("age", "plan"))), store(now=now))
    assert [item["name"] for item in files["statistics"]["features"]] == ["age"]
    assert [item["name"] for item in files["constraints"]["features"]] == ["age", "plan"]
    assert checks_of(files) == {("age", "baseline_drift_check"), ("plan", "missing_column_check")}


def test_configured_constraints_replace_those_of_the_reference(tmp_path):
    columns = (
        ColumnConstraint(name="plan", values=("basic", "gold", "plus")),
        ColumnConstraint(name="income", max_missing="0.3"),
    )
    files = written(settings(tmp_path, checks=Checks(quality=QualityCheck(columns=columns))))
    assert feature(files["constraints"], "plan")["string_constraints"] == {"domains": ["basic", "gold", "plus"]}
    assert feature(files["constraints"], "income")["completeness"] == pytest.approx(0.7)
    assert {("plan", "categorical_values_check"), ("income", "completeness_check")}.isdisjoint(checks_of(files))


@pytest.mark.parametrize(
    ("check", "threshold", "method"),
    [
        (DriftCheck(), 0.05, "Robust"),
        (DriftCheck(method="linf"), 0.1, "Simple"),
        (DriftCheck(method="linf-robust", threshold="0.2"), 0.2, "Robust"),
        (DriftCheck(method="psi", threshold="0.25"), 0.1, "Robust"),  # of another scale
    ],
)
def test_the_comparison_is_described_by_the_closest_settings(tmp_path, check, threshold, method):
    files = written(settings(tmp_path, checks=Checks(drift=check)))
    found = files["constraints"]["monitoring_config"]["distribution_constraints"]
    assert (found["comparison_threshold"], found["comparison_method"]) == (threshold, method)


def test_texts_among_numbers_are_another_type(tmp_path):
    now = current()
    now["age"] = [*(str(value) for value in now["age"][: ROWS // 2]), *["unknown"] * (ROWS // 2)]
    files = written(settings(tmp_path), store(now=now))
    violations = files["constraint_violations"]["violations"]
    (found,) = (item for item in violations if (item["feature_name"], item["constraint_check_type"]) == AGE_TYPE)
    assert found["description"] == "50% of the values are not numbers, 0% in the reference"


def test_a_column_without_values_has_no_figures(tmp_path):
    files = written(settings(tmp_path), store(now={**current(), "age": np.full(ROWS, np.nan)}))
    assert feature(files["statistics"], "age") == {
        "name": "age",
        "inferred_type": "Unknown",
        "numerical_statistics": {"common": {"num_present": 0, "num_missing": ROWS}},
    }


def test_long_columns_are_described_by_their_counts(tmp_path, monkeypatch):
    exact = written(settings(tmp_path))
    monkeypatch.setattr(pairs, "EXACT_ROWS", 100)
    wide = {"number": np.arange(ROWS) * 1_000_003}
    counted = written(settings(tmp_path), store({**reference(), **wide}, {**current(), **wide}))
    for name in ("age", "balance", "visits"):
        first, second = (feature(files["statistics"], name) for files in (exact, counted))
        assert rounded(first) == rounded(second)
    number = feature(counted["statistics"], "number")
    assert number["inferred_type"] == "Integral"
    assert sum(bucket["count"] for bucket in number["numerical_statistics"]["distribution"]["kll"]["buckets"]) == ROWS
    assert ("visits", "data_type_check") in checks_of(counted)


def test_profiles_of_hours_give_the_same_files(tmp_path, monkeypatch):
    hours = [NOW - timedelta(hours=index) for index in range(2, 5)]
    parts = np.array_split(np.arange(ROWS), len(hours))
    rows = {"age": current()["age"], "balance": current()["balance"]}
    files = {
        capture_uri("s3://capture/", at): capture_file(
            *(record(tensors(**{name: values[part].tolist() for name, values in rows.items()}), at=at),)
        )
        for at, part in zip(hours, parts, strict=True)
    }
    window = CaptureWindow(uri="s3://capture/", seconds=86_400, digest=DIGEST)
    before = {name: reference()[name] for name in rows}
    results = []
    for profiled in (False, True):
        for module in (pairs, read):
            monkeypatch.setattr(module, "EXACT_ROWS", 100 if profiled else 100_000)
        storage = MemoryStore({f"{REFERENCE}a.parquet": parquet(before), **files})
        results.append(rounded(written(settings(tmp_path, current=window), storage)))
    report = DriftReport.model_validate_json(storage.objects[f"{REPORTS}churn-1/report.json"])
    assert any("hours with requests were read from their profiles" in note for note in report.notes)
    assert results[0]["statistics"] == results[1]["statistics"]
    assert results[0]["constraints"] == results[1]["constraints"]


def test_what_is_declared_and_broken_is_a_violation_once(tmp_path):
    columns = (
        ColumnConstraint(name="visits", type="integer"),
        ColumnConstraint(name="seen", type="number", max="5"),
        ColumnConstraint(name="channel", values=("phone",), max="3"),
        ColumnConstraint(name="churned"),
        ColumnConstraint(name="plan", values=("basic", "plus")),
    )
    files = written(settings(tmp_path, checks=Checks(quality=QualityCheck(columns=columns))))
    assert problems(files["constraint_violations"], schema("constraint_violations")) == []
    violations = files["constraint_violations"]["violations"]
    assert len(checks_of(files)) == len(violations)
    assert checks_of(files) == {
        ("age", "baseline_drift_check"),
        ("income", "completeness_check"),
        ("visits", "data_type_check"),
        ("plan", "categorical_values_check"),
        ("plan", "baseline_drift_check"),
        ("churned", "missing_column_check"),
        ("seen", "data_type_check"),
        ("channel", "categorical_values_check"),
    }
