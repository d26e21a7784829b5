"""`perennial agent evaluate`: two revisions behind real HTTP servers, labelled rows on a real S3 server."""

import numpy as np
import polars as pl
import pytest

from perennial.agent.evaluate.command import run
from perennial.agent.evaluate.data import choose
from perennial.agent.storage.errors import AgentError
from perennial.api.contract.commands import EvaluateConfig, MetricWanted
from perennial.api.contract.messages import Evaluated
from perennial.api.driftmonitor.checks import FairnessCheck
from perennial.stats.classification import binary
from perennial.stats.performance import measure
from tests.support.models import columns_of, echo, predictions, serving
from tests.unit.agent.conftest import S3Server, command
from tests.unit.agent.drift.store import MemoryStore, csv, parquet

ROWS = 600


def columns(rows=ROWS, seed=1):
    """Return labelled rows: `good` and `bad` are probabilities of skilled and less skilled models."""
    random = np.random.default_rng(seed)
    label = random.integers(0, 2, rows)
    noise = random.normal(0, 1.0, rows)
    good = 1 / (1 + np.exp(-(2.5 * (2 * label - 1) + noise)))
    bad = 1 / (1 + np.exp(-(0.5 * (2 * label - 1) + noise)))
    sex = random.choice(["F", "M"], rows)
    unfair = np.where(sex == "F", 0.3, 0.9) * good
    return {
        "id": list(range(rows)),
        "good": good.round(6).tolist(),
        "bad": bad.round(6).tolist(),
        "unfair": unfair.round(6).tolist(),
        "sex": sex.tolist(),
        "y": label.tolist(),
    }


@pytest.fixture
def rows(tmp_path):
    return MemoryStore({"s3://data/labelled/a.parquet": parquet(columns())})


def config_for(candidate, stable=None, *, scratch, **changes):
    data = {"uri": "s3://data/labelled/", "label": "y", "id": "id", **changes.pop("data", {})}
    given = {"performance": (MetricWanted(metric="rocAuc"),), **changes}
    return EvaluateConfig(model="churn", candidate=candidate, stable=stable, data=data, scratch=str(scratch), **given)


def test_a_worse_candidate_shows_a_loss_whose_interval_excludes_zero(rows, tmp_path):
    with serving(echo("bad")) as candidate, serving(echo("good")) as stable:
        found = run(config_for(candidate.url, stable.url, scratch=tmp_path), rows)

    result = found.results[0]
    table = columns()
    expected = {
        name: measure("rocAuc", binary(np.array(table["y"]), np.array(table[name]))).value for name in ("good", "bad")
    }
    assert float(result.value) == pytest.approx(expected["bad"], rel=1e-5)
    assert float(result.stable) == pytest.approx(expected["good"], rel=1e-5)
    assert float(result.gain) == pytest.approx(expected["bad"] - expected["good"], rel=1e-4)
    assert float(result.gain_low) < float(result.gain) < float(result.gain_high) < 0
    assert (result.rows, result.left_out) == (ROWS, 0)
    assert (found.candidate.rows, found.candidate.failed) == (ROWS, 0)


def test_both_revisions_are_asked_about_the_same_rows_by_the_protocol(rows, tmp_path):
    with serving(echo("good")) as candidate, serving(echo("good")) as stable:
        found = run(config_for(candidate.url, stable.url, scratch=tmp_path, request={"batch": 250}), rows)

    assert candidate.bodies == stable.bodies
    assert candidate.paths == ["/v2/models/churn/infer"] * 3
    first = {tensor["name"]: tensor for tensor in candidate.bodies[0]["inputs"]}
    assert list(first) == ["good", "bad", "unfair", "sex"]
    assert first["sex"]["datatype"] == "BYTES"
    assert first["sex"]["shape"] == [250, 1]
    assert float(found.results[0].gain) == 0
    assert (found.results[0].gain_low, found.results[0].gain_high) == ("0", "0")


def test_a_matrix_is_one_tensor_in_the_order_of_the_features(rows, tmp_path):
    def predict(body):
        tensor = body["inputs"][0]
        assert (tensor["name"], tensor["datatype"]) == ("input-0", "FP32")
        return 200, predictions(tensor["data"][1 :: tensor["shape"][1]])

    form = {"inputs": "Matrix"}
    with serving(predict) as candidate:
        config = config_for(candidate.url, scratch=tmp_path, request=form, data={"features": ("bad", "good")})
        found = run(config, rows)

    assert found.stable is None
    assert found.results[0].stable is None
    assert float(found.results[0].value) > 0.95


@pytest.mark.parametrize("inputs", ["Columns", "Matrix"])
def test_instances_are_objects_or_lists(rows, tmp_path, inputs):
    def predict(body):
        return 200, {"predictions": [row["good"] if inputs == "Columns" else row[0] for row in body["instances"]]}

    with serving(predict) as candidate:
        form = {"protocol": "Instances", "inputs": inputs}
        found = run(config_for(candidate.url, scratch=tmp_path, request=form, data={"features": ("good",)}), rows)

    assert candidate.paths[0] == "/v1/models/churn:predict"
    assert float(found.results[0].value) > 0.95


def test_regression_is_measured_with_its_own_metrics(tmp_path):
    random = np.random.default_rng(3)
    truth = random.normal(100, 10, 300)
    table = {"good": (truth + random.normal(0, 1, 300)).tolist(), "y": truth.tolist()}
    store = MemoryStore({"s3://data/labelled/a.csv": csv(table)})
    wanted = (MetricWanted(metric="rmse"), MetricWanted(metric="r2"), MetricWanted(metric="accuracy"))
    with serving(echo("good")) as candidate:
        config = config_for(candidate.url, scratch=tmp_path, performance=wanted, data={"id": None})
        rmse, r2, accuracy = run(config, store).results

    assert float(rmse.value) == pytest.approx(1, abs=0.15)
    assert float(r2.value) > 0.98
    assert accuracy.value is None
    assert accuracy.why


def test_an_unfair_candidate_shows_its_disparity_beside_that_of_stable(rows, tmp_path):
    check = FairnessCheck(attributes=("sex",), privileged="M", metric="disparateImpact")
    with serving(echo("unfair")) as candidate, serving(echo("good")) as stable:
        config = config_for(candidate.url, stable.url, scratch=tmp_path, performance=(), fairness=(check,))
        result = run(config, rows).results[0]

    assert result.subject == "sex: F vs M"
    assert float(result.high) < 0.8
    assert 0.7 < float(result.stable) < 1.4


def test_failing_rows_are_found_one_by_one_and_the_rest_is_measured(rows, tmp_path):
    def fragile(body):
        found = columns_of(body)
        bad = [value < 0.01 for value in found["good"]]
        return (500, {"error": "boom"}) if any(bad) else (200, predictions(found["good"]))

    broken = sum(value < 0.01 for value in columns()["good"])
    assert 0 < broken < 20
    with serving(fragile) as candidate, serving(echo("good")) as stable:
        found = run(config_for(candidate.url, stable.url, scratch=tmp_path, request={"batch": 20}), rows)

    assert (found.candidate.failed, found.candidate.error) == (broken, "HTTP 500")
    assert (found.stable.failed, found.stable.error) == (0, None)
    assert found.results[0].rows == ROWS - broken
    assert float(found.results[0].gain) == 0


def test_a_candidate_that_always_fails_is_not_measured(rows, tmp_path):
    with serving(lambda _: (500, {})) as candidate, serving(echo("good")) as stable:
        found = run(config_for(candidate.url, stable.url, scratch=tmp_path), rows)

    assert found.candidate.failed == ROWS
    assert found.stable.failed == 0
    assert found.results[0].value is None
    assert "the candidate gave no usable answer to any of 600 rows" in found.results[0].why
    assert len(candidate.bodies) < 600


def test_a_server_that_is_away_is_told_apart_from_a_bad_model(rows, tmp_path, monkeypatch):
    monkeypatch.setattr("perennial.agent.inference.client.REACH_SECONDS", 0.1)
    monkeypatch.setattr("perennial.agent.inference.client.ModelClient.reach.__defaults__", (0.1,))
    with serving(echo("good")) as candidate:
        pass

    with pytest.raises(AgentError) as caught:
        run(config_for(candidate.url, scratch=tmp_path), rows)

    assert caught.value.failure.reason == "ModelUnreachable"


def test_time_that_has_passed_leaves_the_rest_out_for_both(rows, tmp_path, monkeypatch):
    moments = iter(range(0, 10_000, 10))
    monkeypatch.setattr("perennial.agent.evaluate.scoring.score_rows.__defaults__", (lambda: next(moments),))
    with serving(echo("good")) as candidate, serving(echo("good")) as stable:
        found = run(config_for(candidate.url, stable.url, scratch=tmp_path, seconds=25), rows)

    assert found.candidate.rows == found.stable.rows == 200
    assert found.results[0].rows == 200


def test_a_sample_is_the_same_each_time_and_keeps_groups_whole():
    rows = np.arange(1000)
    group = pl.Series([str(index // 10) for index in range(1000)])

    first, again, grouped = choose(rows, 100), choose(rows, 100), choose(rows, 105, group)

    assert first.tolist() == again.tolist() == sorted(set(first.tolist()))
    assert first.size == 100
    assert grouped.size == 100
    assert {int(count) for count in np.unique(grouped // 10, return_counts=True)[1]} == {10}


def test_few_rows_are_not_judged(tmp_path):
    store = MemoryStore({"s3://data/labelled/a.csv": csv(columns(rows=40))})
    with serving(echo("good")) as candidate:
        found = run(config_for(candidate.url, scratch=tmp_path), store)

    assert found.results[0].value is None
    assert "at least 100" in found.results[0].why


def test_the_command_reads_s3_asks_servers_and_leaves_a_message(s3: S3Server, tmp_path):
    bucket = s3.bucket()
    s3.put(bucket, {"labelled/a.parquet": parquet(columns())})
    with serving(echo("bad")) as candidate, serving(echo("good")) as stable:
        config = config_for(
            candidate.url, stable.url, scratch=tmp_path / "scratch", storage=s3.storage,
            data={"uri": f"s3://{bucket}/labelled/"},
        )  # fmt: skip
        code, message = command("evaluate", config, tmp_path)

    assert code == 0
    assert isinstance(message, Evaluated)
    assert float(message.results[0].gain_high) < 0


def test_a_missing_label_column_ends_with_its_name_and_the_code_of_bad_data(s3: S3Server, tmp_path):
    bucket = s3.bucket()
    s3.put(bucket, {"labelled/a.csv": csv(columns(rows=120))})
    data = {"uri": f"s3://{bucket}/labelled/", "label": "outcome"}
    with serving(echo("good")) as candidate:
        config = config_for(candidate.url, scratch=tmp_path / "scratch", storage=s3.storage, data=data)
        code, message = command("evaluate", config, tmp_path)

    assert code == 73
    assert message.reason == "DataInvalid"
    assert "no column outcome: they have id, good" in message.message
