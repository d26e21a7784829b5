"""Embeddings from files and requests in storage to report and message."""

import json

import numpy as np
import polars as pl
import pytest

from perennial.agent.drift.command import run
from perennial.agent.drift.embeddings import compare
from perennial.agent.storage.errors import AgentError
from perennial.agent.tables import vectors
from perennial.api.contract.commands import CaptureWindow, DriftConfig
from perennial.api.contract.messages import DriftVerdict
from perennial.api.contract.report import DriftReport
from perennial.api.driftmonitor.checks import ColumnConstraint, QualityCheck
from perennial.api.driftmonitor.privacy import Privacy
from perennial.api.driftmonitor.resource import Checks, DriftCheck, Features
from perennial.api.driftmonitor.segments import Segment
from perennial.api.driftmonitor.whole import MultivariateCheck
from perennial.core.termination import parse_message
from tests.unit.agent.drift.store import DIGEST, NOW, MemoryStore, capture_file, capture_uri, parquet, record

WIDTH = 12
REFERENCE, CURRENT, CAPTURE, REPORTS = "s3://data/train/", "s3://data/now/", "s3://capture/", "s3://reports/"
WINDOW = CaptureWindow(uri=CAPTURE, seconds=86400, digest=DIGEST)


def vectors_of(seed, rows=300, shift=0.0):
    return np.random.default_rng(seed).normal(size=(rows, WIDTH)) + shift


def ages(rows):
    return np.random.default_rng(9).normal(40, 5, rows)


def settings(tmp_path, **changes):
    values = {
        "namespace": "team", "monitor": "churn", "deployment": "churn", "digest": DIGEST, "reference": REFERENCE,
        "current": CURRENT, "report": REPORTS, "scratch": str(tmp_path / "scratch"),
        "features": Features(embeddings=("text",)), **changes,
    }  # fmt: skip
    return DriftConfig(**values)


def compared(store, config):
    message = run(config, store, NOW, "churn-1")
    assert isinstance(message, DriftVerdict)
    assert parse_message(json.dumps(message.dump())) == message
    return message, DriftReport.model_validate_json(store.objects[f"{REPORTS}churn-1/report.json"])


def columns(rows, *, name="text.{}"):
    return {name.format(at): rows[:, at] for at in range(rows.shape[1])}


def of_files(reference, current):
    sides = ((REFERENCE, reference), (CURRENT, current))
    return MemoryStore({f"{uri}a.parquet": parquet({"age": ages(len(next(iter(side.values())))), **side})
                        for uri, side in sides})  # fmt: skip


def of_requests(reference, requests):
    return MemoryStore(
        {
            f"{REFERENCE}a.parquet": parquet({"age": ages(len(reference)), "text": reference.tolist()}),
            capture_uri(CAPTURE, NOW): capture_file(*map(record, requests)),
        }
    )


def only(report):
    (found,) = [feature for feature in report.features if feature.kind == "embedding"]
    return found


@pytest.mark.parametrize("shift", [0.0, 0.5], ids=["same", "shifted"])
def test_lists_are_compared_as_one_column_with_score_threshold_and_p_value(tmp_path, shift):
    store = of_files({"text": vectors_of(1).tolist()}, {"text": vectors_of(2, 200, shift).tolist()})
    message, report = compared(store, settings(tmp_path))
    assert (message.drifted, message.drifted_features, message.compared_features) == (shift > 0, int(shift > 0), 2)
    found = only(report)
    assert (found.name, found.method, found.drifted, found.reference.rows, found.current.rows) == (
        "text", "auc", shift > 0, 300, 200,
    )  # fmt: skip
    assert (found.score >= found.threshold) is found.drifted
    assert (found.p_value <= 0.0005) is found.drifted
    assert (found.badness >= 1) is found.drifted
    (score,) = [item for item in message.features if item.name == "text"]
    assert (score.method, score.p_value, score.statistic) == ("auc", None, None)
    assert report.quality_findings == ()
    page = store.objects[f"{REPORTS}churn-1/report.html"].decode()
    assert "Classifier that tells current rows from those of the reference: area under the ROC curve = " in page
    history = pl.read_parquet(store.objects[f"{REPORTS}history.parquet"])
    assert history.filter(pl.col("column") == "text")["method"].to_list() == ["auc"]


def records(rows):
    return [{"dataframe_records": [{"age": 40.5, "text": row.tolist()}]} for row in rows]


def tensor_requests(rows):
    age = {"name": "age", "shape": [1], "datatype": "FP64", "data": [40.5]}
    return [
        {"inputs": [age, {"name": "text", "shape": [1, WIDTH], "datatype": "FP32", "data": row.tolist()}]}
        for row in rows
    ]


def batches(rows):
    return [{"inputs": {"age": [40.5] * 2, "text": rows[at : at + 2].tolist()}} for at in range(0, len(rows), 2)]


def instances(rows):
    return [{"instances": [{"age": 40.5, "text": row.tolist()} for row in rows[at : at + 5]]}
            for at in range(0, len(rows), 5)]  # fmt: skip


@pytest.mark.parametrize("requests", [records, tensor_requests, batches, instances])
def test_every_form_of_a_request_gives_the_same_embeddings(tmp_path, requests):
    config = settings(tmp_path, current=WINDOW, checks=Checks(drift=DriftCheck(share="0.9")))
    message, report = compared(of_requests(vectors_of(1), requests(vectors_of(2, 200, 0.5))), config)
    assert (only(report).current.rows, only(report).current.missing, only(report).drifted) == (200, 0, True)
    assert message.compared_features == 2
    assert report.quality_findings == ()
    expected = compared(
        of_files({"text": vectors_of(1).tolist()}, {"text": vectors_of(2, 200, 0.5).tolist()}), settings(tmp_path)
    )[1]
    assert only(report).score == only(expected).score


@pytest.mark.parametrize("name", ["text.{}", "text_{}"])
def test_a_group_of_columns_is_one_embedding(tmp_path, name):
    store = of_files(columns(vectors_of(1), name=name), columns(vectors_of(2, 200), name=name))
    message, report = compared(store, settings(tmp_path))
    assert sorted(item.name for item in report.features) == ["age", "text"]
    assert message.compared_features == 2
    assert report.not_compared == ()


def test_underscores_make_no_parts_beside_lists(tmp_path):
    sides = [{"text": vectors_of(seed).tolist(), "text_0": ages(300)} for seed in (1, 2)]
    report = compared(of_files(*sides), settings(tmp_path))[1]
    assert sorted(item.name for item in report.features) == ["age", "text", "text_0"]


@pytest.mark.parametrize("most", [300, 60])
def test_neither_the_order_of_rows_nor_files_nor_chunks_change_the_result(tmp_path, monkeypatch, most):
    monkeypatch.setattr(compare, "MOST_ROWS", most)
    sides = [vectors_of(1), vectors_of(2, 250, 0.1)]
    sides[1][:50] = sides[1][0]  # equal rows
    first = compared(of_files(*({"text": side.tolist()} for side in sides)), settings(tmp_path))[1]
    monkeypatch.setattr(vectors, "_ROWS", 7)
    random = np.random.default_rng(3)
    objects = {}
    for uri, side in zip((REFERENCE, CURRENT), sides, strict=True):
        age = ages(len(side))
        order = random.permutation(len(side))
        for number, rows in enumerate(np.array_split(order, 3)):
            text = {"text": side[rows].tolist()} if number else columns(side[rows])
            objects[f"{uri}{number}.parquet"] = parquet({"age": age[rows], **text})
    assert only(compared(MemoryStore(objects), settings(tmp_path))[1]) == only(first)


@pytest.mark.parametrize(
    ("spoil", "text", "unusable"),
    [
        (lambda row: row[:5], "embeddings of another length than the 12 numbers of the reference, mostly 5", True),
        (lambda row: [float("nan"), *row[1:]], "embeddings with a number that is missing or infinite", True),
        (lambda row: [*row[:3], None, *row[4:]], "embeddings with a number that is missing or infinite", True),
        (lambda row: [float("inf"), *row[1:]], "embeddings with a number that is missing or infinite", True),
        (lambda _: [], None, False),
        (lambda _: None, None, False),
    ],
    ids=["other length", "NaN", "null", "infinite", "empty", "nothing"],
)
@pytest.mark.parametrize("rows", [4, 60, 300])
def test_what_cannot_be_compared_is_counted_and_a_change_of_its_share_is_drift(tmp_path, spoil, text, unusable, rows):
    current = [spoil(row) if at < rows else row for at, row in enumerate(vectors_of(2).tolist())]
    report = compared(of_files({"text": vectors_of(1).tolist()}, {"text": current}), settings(tmp_path))[1]
    found = only(report)
    assert (found.current.missing, found.current.unreadable) == (rows, rows if unusable else 0)
    assert (found.method, found.drifted) == (("auc", False) if rows == 4 else ("missing", True))
    assert len(report.quality_findings) == (text is not None)
    assert all(text in finding for finding in report.quality_findings)


@pytest.mark.parametrize(
    ("reference", "current", "why"),
    [
        (["a"] * 300, vectors_of(2).tolist(), "the reference has neither lists in a column text nor columns text.0"),
        ([[]] * 300, vectors_of(2).tolist(), "no row of the reference has a list of finite numbers"),
        ([[[1.0], [2.0]]] * 300, vectors_of(2).tolist(), "no row of the reference has a list of finite numbers"),
        ([["a", "b"]] * 300, vectors_of(2).tolist(), "no row of the reference has a list of finite numbers"),
        ([*vectors_of(1, 5).tolist(), *[None] * 295], [*vectors_of(2, 5).tolist(), *[None] * 295], "5 rows of the"),
    ],
    ids=["texts", "empty lists", "lists of lists", "lists of texts", "few rows"],
)
def test_what_cannot_be_judged_says_why_in_the_report_and_as_a_finding(tmp_path, reference, current, why):
    message, report = compared(of_files({"text": reference}, {"text": current}), settings(tmp_path))
    assert (message.drifted, message.compared_features) == (False, 1)
    assert [item.name for item in report.not_compared] == ["text"]
    assert why in report.not_compared[0].reason
    assert any(finding.startswith("text: not judged as an embedding") for finding in report.quality_findings)


def test_an_embedding_that_the_requests_no_longer_have_is_drift(tmp_path):
    requests = [{"dataframe_records": [{"age": 40.5}]} for _ in range(200)]
    found = only(compared(of_requests(vectors_of(1), requests), settings(tmp_path, current=WINDOW))[1])
    assert (found.method, found.drifted, found.current.missing) == ("missing", True, 200)


def test_a_field_that_no_request_has_in_a_readable_form_is_not_judged(tmp_path):
    requests = [{"inputs": {"age": [40.5], "text": [{"a": 1}]}} for _ in range(200)]
    report = compared(of_requests(vectors_of(1), requests), settings(tmp_path, current=WINDOW))[1]
    assert "text: not judged as an embedding, since no request has it in a readable form" in report.quality_findings[0]


def test_lists_that_are_not_declared_are_left_out_and_the_report_says_how_to_declare_them(tmp_path):
    config = settings(tmp_path, features=Features())
    report = compared(of_files({"text": vectors_of(1).tolist()}, {"text": vectors_of(2).tolist()}), config)[1]
    assert "features.embeddings" in report.not_compared[0].reason
    captured = compared(of_requests(vectors_of(1), records(vectors_of(2))), config.model_copy(
        update={"current": WINDOW}))[1]  # fmt: skip
    assert any("features.embeddings" in note for note in captured.notes)


@pytest.mark.parametrize(
    ("features", "names"),
    [
        (Features(embeddings=("text",), include=("age",)), ["age"]),
        (Features(embeddings=("text",), include=("age", "text")), ["age", "text"]),
        (Features(embeddings=("text",), include=("text",)), ["text"]),
        (Features(embeddings=("text",), exclude=("text",)), ["age"]),
    ],
)
def test_include_and_exclude_select_embeddings_too(tmp_path, features, names):
    store = of_files({"text": vectors_of(1).tolist()}, columns(vectors_of(2)))
    report = compared(store, settings(tmp_path, features=features))[1]
    assert sorted(item.name for item in report.features) == names
    assert report.quality_findings == ()


def test_checks_that_leave_embeddings_out_say_so(tmp_path):
    sides = [{"text": vectors_of(seed).tolist(), "plan": ["a", "b"] * 150} for seed in (1, 2)]
    quality = QualityCheck(max_missing="0.1", columns=(ColumnConstraint(name="text", max_missing="0.1"),))
    checks = Checks(multivariate=MultivariateCheck(), quality=quality)
    config = settings(tmp_path, checks=checks, segments=(Segment(column="plan", min_rows=50),), formats=("SageMaker",))
    report = compared(of_files(*sides), config)[1]
    assert any("segments and checks.multivariate leave them out" in note for note in report.notes)
    assert [text for text in report.quality_findings if text.startswith("text")] == [
        "text: not judged by checks.quality.columns, since features.embeddings lets it be compared as a whole"
    ]
    assert all("text" not in [item.name for item in segment.features] for segment in report.segments[0].segments)


def test_max_missing_holds_for_embeddings(tmp_path):
    current = [*vectors_of(2, 285).tolist(), *[None] * 15]
    checks = Checks(quality=QualityCheck(max_missing="0.01"))
    store = of_files({"text": vectors_of(1).tolist()}, {"text": current})
    report = compared(store, settings(tmp_path, checks=checks))[1]
    assert report.quality_findings == ("text: 5% missing, 0% in the reference; at most 1% more allowed",)


def test_privacy_cannot_hide_an_embedding_that_is_compared(tmp_path):
    config = settings(tmp_path, privacy=Privacy(drop=("text",)))
    store = of_files({"text": vectors_of(1).tolist()}, {"text": vectors_of(2).tolist()})
    with pytest.raises(AgentError, match="text, which is an embedding"):
        run(config, store, NOW, "churn-1")


def test_a_minimum_of_rows_holds_for_embeddings(tmp_path):
    sides = [{"text": [*vectors_of(seed, 15).tolist(), *[None] * 285]} for seed in (1, 2)]
    report = compared(of_files(*sides), settings(tmp_path, privacy=Privacy(minimum_group=20)))[1]
    assert "fewer than 20 rows of the reference" in report.not_compared[0].reason


def test_lists_in_json_lines_of_mixed_types_are_kept(tmp_path):
    rows = vectors_of(2, 200, 0.5).tolist()
    lines = [{"age": "n/a" if at == 7 else 40.5, "text": row} for at, row in enumerate(rows)]
    store = MemoryStore(
        {
            f"{REFERENCE}a.parquet": parquet({"age": ages(300), "text": vectors_of(1).tolist()}),
            f"{CURRENT}a.jsonl": "\n".join(map(json.dumps, lines)).encode(),
        }
    )
    found = only(compared(store, settings(tmp_path))[1])
    assert (found.current.missing, found.drifted) == (0, True)


def test_arrays_of_a_fixed_size_and_single_precision_are_lists_too(tmp_path):
    rows = vectors_of(1).astype(np.float32)
    frame = pl.DataFrame({"text": rows}, schema={"text": pl.Array(pl.Float32, WIDTH)})
    store = of_files({"text": rows.astype(np.float64).tolist()}, {"text": frame["text"]})
    assert only(compared(store, settings(tmp_path))[1]).current.distinct == 300
    assert only(compared(store, settings(tmp_path))[1]).score <= 0.5
