"""Segments, from files in storage to report and message."""

import json

import numpy as np
import polars as pl
import pytest

from perennial.agent.drift.command import run
from perennial.agent.drift.segments.plan import Counts, plan_of
from perennial.agent.drift.segments.split import count_values, split_table
from perennial.agent.tables.table import PartitionWriter
from perennial.api.contract.commands import DriftConfig
from perennial.api.contract.report import DriftReport
from perennial.api.driftmonitor.checks import FairnessCheck, GroundTruth, PerformanceCheck, Predictions
from perennial.api.driftmonitor.resource import Checks, DriftCheck
from perennial.api.driftmonitor.segments import Segment
from perennial.core.termination import parse_message
from tests.unit.agent.drift.store import DIGEST, NOW, MemoryStore, parquet

REFERENCE, CURRENT, LABELS, REPORTS = "s3://data/train/", "s3://data/now/", "s3://data/labels/", "s3://reports/"
REGIONS = ("north", "south", "west")


def rows(seed, amounts, moved=()):
    """Return columns of people with a region; the ages and incomes of the regions in `moved` are higher."""
    random = np.random.default_rng(seed)
    region = np.repeat(list(amounts), list(amounts.values()))
    shift = 25.0 * np.isin(region, moved)
    return {
        "region": region,
        "age": random.normal(40, 8, region.size) + shift,
        "income": random.normal(3000, 500, region.size) + 60 * shift,
        "plan": random.choice(["basic", "plus"], region.size),
        "id": np.arange(region.size) + 1_000_000 * seed,
    }


def store_of(reference, current):
    return MemoryStore({f"{REFERENCE}a.parquet": parquet(reference), f"{CURRENT}a.parquet": parquet(current)})


REGION = (Segment(column="region"),)


def settings(tmp_path, segments=REGION, **changes):
    return DriftConfig(
        **{
            "namespace": "team", "monitor": "churn", "deployment": "churn", "digest": DIGEST, "reference": REFERENCE,
            "current": CURRENT, "report": REPORTS, "scratch": str(tmp_path / "scratch"), "segments": segments,
            **changes,
        }
    )  # fmt: skip


def compare(store, config):
    message = run(config, store, NOW, "churn-1")
    assert parse_message(json.dumps(message.dump())) == message
    return message, DriftReport.model_validate_json(store.objects[f"{REPORTS}churn-1/report.json"])


def page_of(store):
    return store.objects[f"{REPORTS}churn-1/report.html"].decode()


def test_a_change_in_one_small_segment_is_named_though_the_whole_has_not_drifted(tmp_path):
    before = rows(1, {"north": 4000, "south": 4000, "west": 300})
    now = rows(2, {"north": 4000, "south": 4000, "west": 150}, moved=["west"])
    store = store_of(before, now)
    message, report = compare(store, settings(tmp_path))
    assert (message.drifted, message.segments.deviate) == (False, True)
    assert (message.segments.judged, message.segments.deviating, message.segments.not_judged) == (3, 1, 0)
    worst = message.segments.worst
    assert (worst.column, worst.value, worst.deviates) == ("region", "west", True)
    assert (worst.drifted_features, worst.compared_features) == (2, 3)
    assert set(worst.failed) == {"age", "income"}
    assert float(worst.badness) > 1
    (segments,) = report.segments
    assert segments.segments[0].value == "west"
    assert [item.deviates for item in segments.segments] == [True, False, False]
    assert (segments.segments[0].reference_rows, segments.segments[0].current_rows) == (300, 150)
    page = page_of(store)
    assert "Segments deviate: region = west" in page
    assert "<h2>Segments</h2>" in page
    history = pl.read_parquet(store.objects[f"{REPORTS}history.parquet"])
    kept = history.filter(pl.col("kind") == "segment").sort("column")
    assert kept["column"].to_list() == ["region = north", "region = south", "region = west"]
    assert kept["drifted"].to_list() == [False, False, True]
    assert "Segments deviate" in store.objects[f"{REPORTS}index.html"].decode()


def test_values_with_few_rows_are_named_with_their_number_and_not_judged(tmp_path):
    before = rows(1, {"north": 500, "south": 40, "east": 300, "up": 2})
    now = rows(2, {"north": 500, "south": 300, "west": 200, "up": 3, "left": 5})
    message, report = compare(store_of(before, now), settings(tmp_path))
    (segments,) = report.segments
    assert [item.value for item in segments.segments] == ["north"]
    assert [(item.value, item.reference, item.current) for item in segments.too_few] == [("south", 40, 300)]
    assert [(item.value, item.reference, item.current) for item in segments.only_current] == [("west", 0, 200)]
    assert [(item.value, item.reference, item.current) for item in segments.only_reference] == [("east", 300, 0)]
    assert (segments.not_judged, segments.not_judged_rows) == (6 - 1, 300 + 200 + 3 + 5)
    assert (message.segments.judged, message.segments.not_judged) == (1, 5)
    assert "region: new in the current data: west (200 rows, none in the reference)" in message.quality_findings
    assert "up" not in report.to_json().decode().split('"segments"')[1].split('"notes"')[0]


def test_without_any_value_with_enough_rows_nothing_is_said_to_be_fine(tmp_path):
    few = {f"r{index}": 30 for index in range(10)}
    store = store_of(rows(1, few), rows(2, few))
    message, _ = compare(store, settings(tmp_path))
    assert (message.segments.deviate, message.segments.judged) == (None, 0)
    assert message.segments.why == "no value of region has enough rows"
    assert "Segments not judged" in page_of(store)


@pytest.mark.parametrize(
    ("lacks", "why"),
    [
        (("reference",), "drift: reference have no column region"),
        (("reference", "current"), "drift: reference and current data have no column region"),
    ],
)
def test_a_missing_column_is_not_judged_and_says_so(tmp_path, lacks, why):
    sides = {"reference": rows(1, {"north": 500}), "current": rows(2, {"north": 500})}
    for side in lacks:
        del sides[side]["region"]
    message, report = compare(store_of(**sides), settings(tmp_path))
    assert (message.segments.deviate, message.segments.why) == (None, why)
    assert report.segments[0].why == why


def test_only_the_most_frequent_values_are_judged_and_the_others_are_counted(tmp_path):
    amounts = {f"r{index:02}": 150 + index for index in range(30)}
    _, report = compare(
        store_of(rows(1, amounts), rows(2, amounts)), settings(tmp_path, [Segment(column="region", max_values=4)])
    )
    (segments,) = report.segments
    assert sorted(item.value for item in segments.segments) == ["r26", "r27", "r28", "r29"]
    assert segments.not_judged == 26


def test_numbers_and_booleans_of_both_sides_meet_as_texts(tmp_path):
    before, now = rows(1, {"north": 400, "south": 400}), rows(2, {"north": 400, "south": 400})
    before["tier"], now["tier"] = np.repeat([1, 2], 400), np.repeat([1.0, 2.0], 400)
    before["active"], now["active"] = np.repeat(["True", "False"], 400), np.repeat([True, False], 400)
    found = settings(tmp_path, [Segment(column="tier"), Segment(column="active")])
    _, report = compare(store_of(before, now), found)
    assert [sorted(item.value for item in column.segments) for column in report.segments] == [
        ["1", "2"], ["false", "true"]
    ]  # fmt: skip


def test_the_segment_column_is_not_compared_within_its_segments(tmp_path):
    _, report = compare(store_of(rows(1, {"north": 400}), rows(2, {"north": 400})), settings(tmp_path))
    (segment,) = report.segments[0].segments
    assert {item.name for item in segment.features} == {"age", "income", "plan"}


def test_thresholds_rise_with_the_number_of_segments(tmp_path):
    amounts = {f"r{index:02}": 120 for index in range(20)}
    check = Checks(drift=DriftCheck(method="ks", correction="Bonferroni"))
    _, report = compare(store_of(rows(1, amounts), rows(2, amounts)), settings(tmp_path, checks=check))
    tested = [item for found in report.segments[0].segments for item in found.features if item.method == "ks"]
    assert {round(item.threshold, 12) for item in tested} == {round(0.001 / 20 / 3, 12)}
    _, report = compare(store_of(rows(1, amounts), rows(2, amounts)), settings(tmp_path))
    gaps = {item.threshold for found in report.segments[0].segments for item in found.features if item.method == "linf"}
    alone = {item.threshold for item in report.features if item.method == "linf"}
    assert min(gaps) > np.sqrt(2 / 120) * 1.949  # the noise level of a single comparison of this size
    assert max(alone) < min(gaps)


def labelled(seed, skill, regions=REGIONS, each=300):
    """Return rows with a prediction and labels; skill: probability that the prediction is right, by region."""
    random = np.random.default_rng(seed)
    region = np.repeat(regions, each)
    label = random.integers(0, 2, region.size)
    right = random.random(region.size) < np.array([skill.get(name, 0.9) for name in region])
    return {
        "id": [f"{seed}-{index}" for index in range(region.size)],
        "region": region,
        "sex": random.choice(["F", "M"], region.size),
        "age": random.normal(40, 8, region.size),
        "answer": np.where(right, label, 1 - label),
        "churned": label,
    }


def judged(tmp_path, now, before=None, **changes):
    current = {name: values for name, values in now.items() if name != "churned"}
    labels = {name: now[name] for name in ("id", "churned")}
    store = store_of(before or labelled(1, {}), current)
    store.objects[f"{LABELS}a.parquet"] = parquet(labels)
    found = {
        "ground_truth": GroundTruth(uri=LABELS, label="churned", id="id"),
        "predictions": Predictions(output="answer"),
        **changes,
    }
    return compare(store, settings(tmp_path, **found))


def test_performance_that_fails_in_one_segment_is_the_worst(tmp_path):
    checks = Checks(performance=[PerformanceCheck(metric="accuracy", min="0.75")])
    message, report = judged(tmp_path, labelled(2, {"west": 0.5}), checks=checks)
    assert (message.degraded, message.segments.deviate) == (False, True)
    worst = message.segments.worst
    assert (worst.value, worst.failed) == ("west", ("accuracy",))
    found = {item.value: item.checks[0] for item in report.segments[0].segments}
    assert [found[name].failed for name in REGIONS] == [False, False, True]
    assert found["west"].rows == 300


def test_a_drop_is_judged_against_the_same_segment_of_the_reference(tmp_path):
    checks = Checks(performance=[PerformanceCheck(metric="accuracy", max_drop="0.1")])
    before = labelled(1, {"west": 0.6})
    _, report = judged(tmp_path, labelled(2, {"west": 0.6, "north": 0.6}), before, checks=checks)
    found = {item.value: item.checks[0] for item in report.segments[0].segments}
    assert [found[name].failed for name in REGIONS] == [True, False, False]


def test_fairness_is_judged_in_each_segment_but_not_between_the_values_that_divide(tmp_path):
    checks = Checks(
        fairness=[
            FairnessCheck(attributes=["sex"], metric="demographicParityGap"),
            FairnessCheck(attributes=["region"], metric="demographicParityGap"),
        ]
    )
    now = labelled(2, {})
    now["answer"] = np.where((now["region"] == "west") & (now["sex"] == "F"), 0, now["answer"])
    message, report = judged(tmp_path, now, checks=checks)
    assert message.segments.worst.value == "west"
    assert message.segments.worst.failed[0].startswith("demographicParityGap of sex")
    assert all(len(item.checks) == 1 for item in report.segments[0].segments)


def test_a_column_of_the_labels_alone_divides_the_checks(tmp_path):
    checks = Checks(performance=[PerformanceCheck(metric="accuracy", min="0.75")])
    now = labelled(2, {"west": 0.5})
    current = {name: values for name, values in now.items() if name not in ("churned", "region")}
    before = {name: values for name, values in labelled(1, {}).items() if name != "region"}
    store = store_of(before, current)
    store.objects[f"{LABELS}a.parquet"] = parquet({name: now[name] for name in ("id", "churned", "region")})
    config = settings(
        tmp_path,
        checks=checks,
        ground_truth=GroundTruth(uri=LABELS, label="churned", id="id"),
        predictions=Predictions(output="answer"),
    )
    message, report = compare(store, config)
    assert message.segments.worst.value == "west"
    assert message.segments.why == "drift: reference and current data have no column region"
    assert report.segments[0].segments[0].drifted is None


def test_no_condition_of_segments_without_segments(tmp_path):
    message, report = compare(store_of(rows(1, {"north": 400}), rows(2, {"north": 400})), settings(tmp_path, None))
    assert (message.segments, report.segments) == (None, ())


def test_the_page_stays_small_with_many_segments_and_long_names(tmp_path):
    amounts = {f"{index:03}-" + "ö" * 200: 30 for index in range(100)}
    before, now = rows(1, amounts), rows(2, amounts)
    for index in range(60):
        before[f"c{index}"], now[f"c{index}"] = before["age"], now["age"]
    store = store_of(before, now)
    message, _ = compare(store, settings(tmp_path, [Segment(column="region", min_rows=20, max_values=100)]))
    assert message.segments.judged == 100
    assert len(page_of(store).encode()) < 1_000_000


def test_plan_breaks_ties_by_name_so_that_the_order_of_rows_never_decides():
    amounts = {"b": 100, "a": 100, "c": 101}
    plan = plan_of(Segment(column="x", max_values=2), Counts(amounts), Counts(amounts))
    assert plan.judged == ("c", "a")


def test_split_keeps_every_row_of_a_value_once_and_nothing_else(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    writer = PartitionWriter(tmp_path / "in", "s3://x/")
    writer.add({"k": ["a", "b", None], "v": [1, 2, 3]}, 3)
    first = writer.finish()
    writer = PartitionWriter(tmp_path / "in", "s3://x/")
    (tmp_path / "in" / "rows-000000.parquet").rename(tmp_path / "in" / "first.parquet")
    partition = first.partitions[0]
    moved = type(partition)(tmp_path / "in" / "first.parquet", partition.origin, partition.schema, partition.rows)
    writer.add({"k": ["a", "c"], "v": ["x", "y"]}, 2)
    table = type(first)((moved, *writer.finish().partitions))
    found = split_table(table, "k", ["a", "d"], tmp_path / "out", names=["v"])
    assert (found["a"].rows, found["d"].rows) == (2, 0)
    assert sorted(found["a"].column("v").to_list()) == ["1", "x"]
    counts = count_values(batch["k"] for batch in table.batches(["k"]))
    assert (counts.rows, counts.missing) == ({"a": 2, "b": 1, "c": 1}, 1)
