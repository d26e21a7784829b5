"""What reports, history and messages keep of single people: nothing."""

import json

import numpy as np
import polars as pl
import pytest

from perennial.agent.drift.command import run
from perennial.agent.drift.data.privacy import guard_of
from perennial.agent.storage.errors import AgentError
from perennial.api.contract.commands import HASH_KEY_VARIABLE, CaptureWindow, DriftConfig
from perennial.api.contract.report import DriftReport
from perennial.api.driftmonitor.checks import FairnessCheck, Predictions, QualityCheck
from perennial.api.driftmonitor.privacy import Privacy
from perennial.api.driftmonitor.resource import Checks
from perennial.api.driftmonitor.segments import Segment
from perennial.core.failures import CONFIG_INVALID, HASH_KEY_INVALID
from perennial.core.termination import parse_message
from perennial.stats.display import histogram, summarise
from perennial.stats.samples import Categorical, numeric
from tests.unit.agent.drift.store import DIGEST, NOW, MemoryStore, capture_file, capture_uri, parquet, record, tensors

REFERENCE, CURRENT, REPORTS = "s3://data/train/", "s3://data/now/", "s3://reports/"
SECRET = "0123456789abcdef0123456789abcdef"
OLDEST, RAREST, HOME = 117.25, "Quincy", "221B Baker Street"


def people(seed, rows=600):
    """Return rows of which one has the highest age and one a name of her own."""
    random = np.random.default_rng(seed)
    age, name = random.normal(40, 8, rows).round(2), random.choice(["Ann", "Bob", "Cleo"], rows).astype(object)
    age[0], name[0] = OLDEST, RAREST
    return {
        "age": age,
        "name": list(name),
        "visits": [*random.integers(0, 4, rows - 1).tolist(), 9],
        "home": [HOME] * rows,
        "region": [*random.choice(["north", "south"], rows - 4), *["Sark"] * 4],
        "answer": random.integers(0, 2, rows),
    }


def settings(tmp_path, privacy, **changes):
    return DriftConfig(
        **{
            "namespace": "team", "monitor": "churn", "deployment": "churn", "digest": DIGEST, "reference": REFERENCE,
            "current": CURRENT, "report": REPORTS, "scratch": str(tmp_path / "scratch"), "privacy": privacy,
            "checks": Checks(
                quality=QualityCheck(suggested=True),
                fairness=[FairnessCheck(attributes=["region"], metric="demographicParityGap", min_group_rows=10)],
            ),
            "predictions": Predictions(output="answer"), "segments": [Segment(column="region")], **changes,
        }
    )  # fmt: skip


def written(tmp_path, privacy, **changes):
    """Return everything that a comparison leaves, as one text, and the report."""
    store = MemoryStore({f"{REFERENCE}a.parquet": parquet(people(1)), f"{CURRENT}a.parquet": parquet(people(2))})
    message = run(settings(tmp_path, privacy, **changes), store, NOW, "churn-1")
    assert parse_message(json.dumps(message.dump())) == message
    history = pl.read_parquet(store.objects[f"{REPORTS}history.parquet"])
    pages = [data.decode() for uri, data in store.objects.items() if uri.startswith(REPORTS) and "parquet" not in uri]
    told = "\n".join((json.dumps(message.dump()), str(history.rows()), *pages))
    return told, DriftReport.model_validate_json(store.objects[f"{REPORTS}churn-1/report.json"])


def test_nothing_that_fewer_than_the_minimum_have_is_told_anywhere(tmp_path):
    told, report = written(tmp_path, Privacy(minimum_group=20))
    for secret in (str(OLDEST), RAREST, "Sark"):
        assert secret not in told
    age = next(item for item in report.features if item.name == "age")
    for side, rows in ((age.reference, people(1)), (age.current, people(2))):
        ordered = np.sort(rows["age"])
        assert (side.numbers.minimum, side.numbers.maximum) == (ordered[19], ordered[-20])
    names = next(item for item in report.features if item.name == "name")
    assert set(names.bars.labels) == {"Ann", "Bob", "Cleo", "(others)"}
    (fairness,) = (check for check in report.checks if check.check == "fairness")
    assert {group.group for group in fairness.groups} == {"north", "south"}


def test_without_privacy_the_extremes_are_shown_as_before(tmp_path):
    told, _ = written(tmp_path, None)
    assert str(OLDEST) in told


def test_a_dropped_column_is_not_even_named(tmp_path):
    told, report = written(tmp_path, Privacy(drop=["home", "name"]))
    assert HOME not in told
    assert {"home", "name"}.isdisjoint(item.name for item in (*report.features, *report.not_compared))


def test_a_dropped_column_of_captured_requests_is_not_even_named(tmp_path):
    rows = people(2, 60)
    batch = {
        name: [value.item() if hasattr(value, "item") else value for value in rows[name]] for name in ("age", "home")
    }
    store = MemoryStore(
        {
            f"{REFERENCE}a.parquet": parquet({"age": people(1)["age"]}),
            capture_uri("s3://capture/", NOW): capture_file(record(tensors(**batch))),
        }
    )
    window = CaptureWindow(uri="s3://capture/", seconds=7200, digest=DIGEST)
    config = settings(tmp_path, Privacy(drop=["home"]), current=window, checks=Checks(), segments=None)
    message = run(config, store, NOW, "churn-1")
    assert "home" not in json.dumps(message.dump()) + store.objects[f"{REPORTS}churn-1/report.json"].decode()


def test_hashed_columns_are_compared_and_no_value_is_shown(tmp_path, monkeypatch):
    monkeypatch.setenv(HASH_KEY_VARIABLE, SECRET)
    hashing = {"columns": ["name", "region"], "keySecret": {"name": "privacy", "key": "hash"}}
    told, report = written(tmp_path, Privacy.model_validate({"hash": hashing}))
    for secret in ("Ann", "Bob", "Cleo", "north", "south", "Sark", SECRET):
        assert secret not in told
    names = next(item for item in report.features if item.name == "name")
    assert (names.kind, names.drifted) == ("categorical", False)
    assert all(len(label) == 28 for label in names.bars.labels if label != "(others)")
    assert len(report.segments[0].segments) == 2
    assert len(report.checks[0].groups) == 2


def test_the_hash_is_keyed_and_the_same_for_equal_values():
    hashing = {"columns": ["n"], "keySecret": {"name": "privacy", "key": "hash"}}
    privacy = Privacy.model_validate({"hash": hashing})
    config = DriftConfig(
        namespace="t", monitor="m", deployment="d", reference="s3://aaa/b", current="s3://aaa/c", privacy=privacy
    )
    first, second = (guard_of(config, {HASH_KEY_VARIABLE: key}) for key in (SECRET, SECRET[::-1]))
    whole = first.hide("n", pl.Series("n", [1, 2, None]))
    assert whole.to_list() == first.hide("n", pl.Series("n", [1.0, 2.0, None])).to_list()
    assert whole[2] is None
    assert whole[0] != second.hide("n", pl.Series("n", [1]))[0]
    assert SECRET not in repr(first)


@pytest.mark.parametrize("environment", [{}, {HASH_KEY_VARIABLE: "short"}])
def test_a_missing_or_short_key_is_refused_and_says_which(environment):
    hashing = {"columns": ["n"], "keySecret": {"name": "privacy", "key": "hash"}}
    privacy = Privacy.model_validate({"hash": hashing})
    config = DriftConfig(
        namespace="t", monitor="m", deployment="d", reference="s3://aaa/b", current="s3://aaa/c", privacy=privacy
    )
    with pytest.raises(AgentError, match=r"key hash of Secret privacy .* which is too short") as caught:
        guard_of(config, environment)
    assert caught.value.failure is HASH_KEY_INVALID


@pytest.mark.parametrize("least", [5, 20, 100])
def test_no_bar_stands_for_fewer_rows_than_the_minimum(least):
    random = np.random.default_rng(5)
    before, now = random.lognormal(0, 1, 500), random.lognormal(0.3, 1, 300)
    drawn = histogram(numeric(before), numeric(now), least)
    for shares, values in ((drawn.reference, before), (drawn.current, now)):
        assert sum(shares) == pytest.approx(1)
        runs = np.split(np.array(shares), np.flatnonzero(np.diff(shares)) + 1)
        rows = [run.sum() * values.size for run in runs]
        assert all(amount == 0 or amount >= least - 1e-6 for amount in rows)


def test_too_few_values_have_no_summary_and_no_bars():
    few = numeric(np.arange(9.0))
    assert summarise(few, 10) is None
    assert histogram(few, few, 10) is None
    rare = Categorical({"a": 50, "b": 3})
    assert histogram(rare, rare, 10).labels == ("a", "(others)")


def test_what_checks_are_computed_from_cannot_be_hidden(tmp_path):
    with pytest.raises(AgentError, match="drops or hashes the column answer, which is the prediction") as caught:
        guard_of(settings(tmp_path, Privacy(drop=["answer"])), {})
    assert caught.value.failure is CONFIG_INVALID
