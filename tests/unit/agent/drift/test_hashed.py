"""Requests whose columns were hashed at capture are compared, and joined to labels, as those in clear are."""

import json
from datetime import timedelta

import numpy as np
import polars as pl
import pytest

from perennial.agent.capture.exchange import Exchange, line
from perennial.agent.capture.hashed import Hashing
from perennial.agent.drift.columns import ColumnPair, pair_of
from perennial.agent.drift.command import run
from perennial.agent.drift.data.privacy import guard_of
from perennial.agent.hashing import KeyedHash
from perennial.agent.storage.errors import AgentError
from perennial.agent.tables.table import as_text, series_of
from perennial.api.contract.commands import HASH_KEY_VARIABLE, CaptureConfig, CaptureWindow, DriftConfig
from perennial.api.contract.report import DriftReport
from perennial.api.driftmonitor.checks import GroundTruth, PerformanceCheck, Predictions
from perennial.api.driftmonitor.privacy import Privacy
from perennial.api.driftmonitor.resource import Checks
from tests.unit.agent.drift.store import DIGEST, NOW, MemoryStore, capture_file, capture_uri, parquet, tensors

SECRET, NEXT = "0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210"
CAPTURE, LABELS, REPORTS = "s3://capture/", "s3://labels/", "s3://reports/"
ROWS = 200
REGIONS = [["north", "south", "west"][number % 3] for number in range(ROWS)]
POSTCODES = [10115 + number % 5 for number in range(ROWS)]
CUSTOMERS = [f"customer-{number}" for number in range(ROWS)]
ANSWERS = [number % 2 for number in range(ROWS)]


def captured(key=SECRET, names=("region", "customer", "id"), *, at=0, rows=ROWS, each=1):
    """Return capture lines of rows of a model, with requests of `each` rows, hashed by a key or in clear."""
    hashing = Hashing(frozenset(names), KeyedHash(key.encode())) if key else Hashing()
    config = CaptureConfig(
        uri=CAPTURE, listen_port=1, upstream_port=2, namespace="team", deployment="churn", revision="a", digest=DIGEST
    )  # fmt: skip
    lines = []
    for first in range(at, at + rows, each):
        part = slice(first, first + each)
        asked = tensors(region=REGIONS[part], customer=CUSTOMERS[part], postcode=POSTCODES[part])
        found = Exchange(method="POST", target="/", status=200, wall=(NOW - timedelta(minutes=5)).timestamp())
        found.request.body += json.dumps({**asked, "id": f"request-{first}"}).encode()
        found.response.body += json.dumps({"outputs": tensors(y=ANSWERS[part])["inputs"]}).encode()
        lines.append(line(found, config, hashing))
    return lines


def stored(lines, *, key="customer", ids=tuple(CUSTOMERS)):
    reference = {"region": REGIONS, "customer": CUSTOMERS, "postcode": POSTCODES}
    return MemoryStore(
        {
            "s3://data/train/a.parquet": parquet(reference),
            capture_uri(CAPTURE, NOW): capture_file(*lines),
            f"{LABELS}a.parquet": parquet({key: list(ids), "truth": ANSWERS}),
        }
    )


def compared(tmp_path, monkeypatch, store, *columns, labels=None, secret=SECRET):
    monkeypatch.setenv(HASH_KEY_VARIABLE, secret)
    hashing = {"columns": columns, "keySecret": {"name": "privacy", "key": "hash"}}
    checks = Checks(min_rows=10, performance=[PerformanceCheck(metric="accuracy", min="0.9")] if labels else [])
    config = DriftConfig(
        namespace="team", monitor="churn", deployment="churn", digest=DIGEST, reference="s3://data/train/",
        current=CaptureWindow(uri=CAPTURE, seconds=7200, digest=DIGEST), report=REPORTS, scratch=str(tmp_path / "s"),
        privacy=Privacy.model_validate({"hash": hashing}) if columns else None, checks=checks, ground_truth=labels,
        predictions=Predictions(output="y"),
    )  # fmt: skip
    run(config, store, NOW, "churn-1")
    return DriftReport.model_validate_json(store.objects[f"{REPORTS}churn-1/report.json"])


def labelled(**changes):
    return GroundTruth(**{"uri": LABELS, "key": "customer", "label": "truth", "delay": "0s", **changes})


def coverage(report):
    (found,) = [note for note in report.notes if "have a label" in note]
    return found


def result(report):
    (check,) = [item for item in report.checks if item.check == "performance"]
    return check


@pytest.mark.parametrize("each", [1, 4])
def test_categories_and_labels_join_as_in_clear(tmp_path, monkeypatch, each):
    store = stored(captured(names=("region", "customer", "postcode"), each=each))
    report = compared(
        tmp_path, monkeypatch, store, "region", "customer", "postcode", labels=labelled(id="customer")
    )  # fmt: skip
    features = {feature.name: feature for feature in report.features}
    assert set(features) == {"region", "postcode"}
    assert not any(feature.drifted for feature in features.values())
    assert {len(label) for label in features["region"].bars.labels} == {28}
    assert coverage(report) == f"100% of {ROWS} predictions have a label."
    assert (result(report).value, result(report).failed) == (1.0, False)


@pytest.mark.parametrize("each", [1, 4])
def test_the_id_of_the_request_joins_too(tmp_path, monkeypatch, each):
    ids = [f"request-{number - number % each}" + (f"/{number % each}" if each > 1 else "") for number in range(ROWS)]
    store = stored(captured(names=("id",), each=each), key="request", ids=ids)
    report = compared(tmp_path, monkeypatch, store, "request", labels=labelled(key="request"))
    assert coverage(report) == f"100% of {ROWS} predictions have a label."
    assert result(report).value == 1.0


def test_requests_from_before_the_hash_join_as_well(tmp_path, monkeypatch):
    half = ROWS // 2
    store = stored([*captured(key=None, rows=half), *captured(at=half, rows=half)])
    report = compared(tmp_path, monkeypatch, store, "region", "customer", labels=labelled(id="customer"))
    assert "region" in {feature.name for feature in report.features if not feature.drifted}
    assert coverage(report) == f"100% of {ROWS} predictions have a label."


def test_a_monitor_that_does_not_hash_compares_nothing_that_was_hashed(tmp_path, monkeypatch):
    report = compared(tmp_path, monkeypatch, stored(captured()), labels=labelled(id="customer"))
    reasons = {item.name: item.reason for item in report.not_compared}
    assert [feature.name for feature in report.features] == ["postcode"]
    assert "name it in privacy.hash.columns" in reasons["region"]
    assert result(report).value is None
    assert "name customer in privacy.hash.columns" in result(report).why


def test_another_key_is_no_drift_but_not_judged(tmp_path, monkeypatch):
    store = stored(captured())
    report = compared(
        tmp_path, monkeypatch, store, "region", "customer", labels=labelled(id="customer"), secret=NEXT
    )  # fmt: skip
    assert [feature.name for feature in report.features] == ["postcode"]
    assert "hashed with different keys" in {item.name: item.reason for item in report.not_compared}["region"]
    assert result(report).value is None
    assert "another key than privacy.hash.keySecret" in result(report).why


def test_after_a_change_of_the_key_the_rest_of_the_window_still_joins(tmp_path, monkeypatch):
    half = ROWS // 2
    store = stored([*captured(key=NEXT, rows=half), *captured(at=half, rows=half)])
    report = compared(tmp_path, monkeypatch, store, "region", "customer", labels=labelled(id="customer"))
    assert [feature.name for feature in report.features] == ["postcode"]
    assert coverage(report) == f"50% of {ROWS} predictions have a label."
    assert any("100 predictions had an id that was hashed with another key" in note for note in report.notes)


@pytest.mark.parametrize(
    "values",
    [["a", "é", "", "x" * 400, "\ud800"], [1, -7, 2**53 + 1], [True, False], [0.5, 3.0, -2.0, 1e3], [1, 2.5]],
)
def test_a_scalar_has_the_hash_of_its_value_in_a_column(values):
    key = KeyedHash(SECRET.encode())
    texts = as_text(series_of("x", [*values, None])).to_list()
    assert [key.of_scalar(value) for value in values] == [key.of(text) for text in texts[:-1]]
    assert key.of_scalar(None) is texts[-1] is None
    assert key.of_scalar(float("nan")) is None


def test_a_column_that_is_hashed_on_both_sides_is_compared_without_a_key():
    hashes = pl.Series([KeyedHash(SECRET.encode()).of(text) for text in REGIONS])
    assert isinstance(pair_of(hashes, hashes, None), ColumnPair)
    assert isinstance(pair_of(hashes, pl.Series([None] * 3, dtype=pl.Null), None), ColumnPair)
    assert "part of the data only" in str(pair_of(pl.Series(np.arange(20)), hashes, None))


def test_the_id_may_be_hashed_but_not_dropped():
    def config(privacy):
        return DriftConfig(
            namespace="t", monitor="m", deployment="d", reference="s3://aaa/b", current="s3://aaa/c",
            privacy=Privacy.model_validate(privacy), ground_truth=labelled(),
        )  # fmt: skip

    hashing = {"columns": ["customer"], "keySecret": {"name": "privacy", "key": "hash"}}
    guard = guard_of(config({"hash": hashing}), {HASH_KEY_VARIABLE: SECRET})
    assert guard.identities.one("a") == KeyedHash(SECRET.encode()).of("a")
    with pytest.raises(AgentError, match="the column customer, which is the id of predictions"):
        guard_of(config({"drop": ["customer"]}), {})
