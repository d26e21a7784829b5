import errno
import json
import logging
from datetime import timedelta

import numpy as np
import pytest

from perennial.agent.artifact.digest import content_digest
from perennial.agent.drift.command import JOB_VARIABLE, run
from perennial.agent.storage.errors import AgentError
from perennial.api.contract.commands import CaptureWindow, DriftConfig, RunReference
from perennial.api.contract.manifest import InputManifest
from perennial.api.contract.messages import DriftVerdict, NoVerdict
from perennial.api.contract.report import DriftReport
from perennial.api.driftmonitor.checks import QualityCheck
from perennial.api.driftmonitor.resource import Checks, DriftCheck, Features
from perennial.core.failures import DATA_INVALID, OUT_OF_SPACE
from perennial.core.termination import parse_message
from tests.unit.agent.drift.store import (
    DIGEST,
    NOW,
    MemoryStore,
    capture_file,
    capture_uri,
    csv,
    entry,
    manifest,
    parquet,
    record,
    tensors,
)

REFERENCE = "s3://data/churn/train/"
CAPTURE = "s3://capture/churn/"
REPORTS = "s3://reports/churn/"
COLUMNS = ("age", "income", "plan")


def people(rows, seed=0, age=40.0, plans=(0.7, 0.3)):
    generator = np.random.default_rng(seed)
    return {
        "age": generator.normal(age, 8, rows),
        "income": generator.lognormal(8, 1, rows),
        "plan": generator.choice(["basic", "plus"], rows, p=plans),
    }


def requests(columns, at=NOW - timedelta(minutes=30), size=10):
    """Return a capture file with requests of ten rows each."""
    rows = len(columns["age"])
    batches = [{name: [value.item() for value in values[start : start + size]] for name, values in columns.items()}
               for start in range(0, rows, size)]  # fmt: skip
    return capture_file(*(record(tensors(**batch), at=at) for batch in batches))


def config(tmp_path, **changes):
    return DriftConfig(
        **{
            "namespace": "team", "monitor": "churn-drift", "deployment": "churn", "run": "churn-3", "digest": DIGEST,
            "reference": REFERENCE, "current": CaptureWindow(uri=CAPTURE, seconds=86400, period="24h", digest=DIGEST),
            "report": REPORTS, "scratch": str(tmp_path / "scratch"), **changes,
        }
    )  # fmt: skip


def stored(reference, current):
    label = np.zeros(len(reference["age"]))
    return MemoryStore(
        {
            f"{REFERENCE}part-0.parquet": parquet({**reference, "churned": label}),
            capture_uri(CAPTURE, NOW): requests(current),
        }
    )


def compare(store, settings) -> DriftVerdict | NoVerdict:
    message = run(settings, store, NOW, "churn-drift-29")
    assert parse_message(json.dumps(message.dump())) == message
    return message


def verdict(store, settings) -> DriftVerdict:
    message = compare(store, settings)
    assert isinstance(message, DriftVerdict)
    return message


def silence(store, settings) -> NoVerdict:
    message = compare(store, settings)
    assert isinstance(message, NoVerdict)
    return message


def report_of(store) -> DriftReport:
    return DriftReport.model_validate_json(store.objects[f"{REPORTS}churn-drift-29/report.json"])


def test_unchanged_requests_have_not_drifted(tmp_path):
    message = verdict(stored(people(3000), people(1500, seed=1)), config(tmp_path))
    assert (message.drifted, message.drifted_features, message.compared_features) == (False, 0, 3)
    assert (message.reference_rows, message.current_rows) == (3000, 1500)
    assert message.time == "2026-03-10T12:30:00Z"
    (finding,) = message.quality_findings
    assert finding.startswith("1 missing column: churned of the reference, not in the current data; features.exclude")
    assert {score.name for score in message.features} == set(COLUMNS)


def test_moved_requests_have_drifted_and_the_worst_column_comes_first(tmp_path):
    store = stored(people(3000), people(1500, seed=1, age=60, plans=(0.2, 0.8)))
    message = verdict(store, config(tmp_path))
    assert (message.drifted, message.drifted_features) == (True, 2)
    assert [(score.name, score.method, score.drifted) for score in message.features] == [
        ("age", "linf", True),
        ("plan", "js", True),
        ("income", "linf", False),
    ]
    assert float(message.features[0].score) == pytest.approx(0.789, abs=0.02)  # 2 Phi(2.5 / 2) - 1
    assert 0.05 <= float(message.features[0].threshold) < 0.1


def test_the_report_lies_beside_the_verdict_and_says_the_same(tmp_path):
    store = stored(people(3000), people(1500, seed=1, age=60))
    message = verdict(store, config(tmp_path))
    assert message.report_uri == f"{REPORTS}churn-drift-29/report.html"
    report = report_of(store)
    assert (report.job, report.monitor, report.run, report.digest) == (
        "churn-drift-29",
        "churn-drift",
        "churn-3",
        DIGEST,
    )
    assert (report.drifted, report.drifted_features) == (message.drifted, message.drifted_features)
    assert [item.name for item in report.features] == [score.name for score in message.features]
    assert [(item.name, item.reason) for item in report.not_compared] == [("churned", "only the reference has it")]
    assert report.notes == ("The window holds 150 requests.",)
    assert report.current.description == "captured requests of the last 24h"
    page = store.objects[message.report_uri].decode()
    assert "values are higher" in page.lower()
    assert store.types == {
        f"{REPORTS}churn-drift-29/report.json": "application/json",
        f"{REPORTS}churn-drift-29/report.html": "text/html; charset=utf-8",
        f"{REPORTS}index.html": "text/html; charset=utf-8",
        f"{REPORTS}history.parquet": "application/vnd.apache.parquet",
    }


def test_a_history_can_be_kept_for_as_long_as_a_period_can_say(tmp_path):
    store = stored(people(300), people(300, seed=1))
    verdict(store, config(tmp_path, keep_seconds=999_999 * 86_400))
    assert f"{REPORTS}history.parquet" in store.objects
    assert report_of(store).history is not None


def test_a_verdict_without_a_report_keeps_no_history(tmp_path):
    store = stored(people(300), people(300, seed=1))
    message = verdict(store, config(tmp_path, report=None))
    assert (message.trend, store.types) == (None, {})


def test_a_history_that_cannot_be_kept_is_told_and_costs_no_verdict(tmp_path):
    store = stored(people(300), people(300, seed=1, age=60))
    store.objects[f"{REPORTS}history.parquet"] = parquet({"age": [1.0]})
    message = verdict(store, config(tmp_path))
    assert (message.drifted, message.trend) == (True, "Unknown")
    assert "holds other columns (age): it is left as it is" in report_of(store).notes[-1]
    assert f"{REPORTS}index.html" not in store.objects


def test_the_same_data_give_the_same_report(tmp_path):
    stores = [stored(people(500), people(300, seed=1, age=60)) for _ in range(2)]
    messages = [verdict(store, config(tmp_path)) for store in stores]
    assert messages[0] == messages[1]
    assert report_of(stores[0]) == report_of(stores[1])
    assert stores[0].objects == stores[1].objects


def test_nothing_is_left_on_the_volume(tmp_path):
    verdict(stored(people(500), people(300)), config(tmp_path))
    assert list((tmp_path / "scratch").iterdir()) == []


def test_without_a_report_only_the_verdict_is_given(tmp_path):
    store = stored(people(500), people(300))
    before = set(store.objects)
    assert verdict(store, config(tmp_path, report=None)).report_uri is None
    assert set(store.objects) == before


def test_the_job_is_named_by_the_downward_api(tmp_path, monkeypatch):
    monkeypatch.setenv(JOB_VARIABLE, "churn-drift-30")
    message = run(config(tmp_path), stored(people(500), people(300)), NOW)
    assert isinstance(message, DriftVerdict)
    assert message.report_uri == f"{REPORTS}churn-drift-30/report.html"


@pytest.mark.parametrize("share", ["0.3", "0.34"])
def test_the_share_decides_about_the_whole(tmp_path, share):
    checks = Checks(drift=DriftCheck(share=share))
    message = verdict(stored(people(500), people(300, seed=1, age=60)), config(tmp_path, checks=checks))
    assert message.drifted_features == 1
    assert message.drifted is (share == "0.3")


def test_a_share_of_zero_still_needs_one_drifted_column(tmp_path):
    checks = Checks(drift=DriftCheck(share="0"))
    assert not verdict(stored(people(500), people(300, seed=1)), config(tmp_path, checks=checks)).drifted


@pytest.mark.parametrize("method", ["psi", "ks", "js", "wasserstein", "chi2", "hellinger", "linf", "linf-robust"])
def test_every_method_goes_through(tmp_path, method):
    checks = Checks(drift=DriftCheck(method=method, threshold="0.05"))
    message = verdict(stored(people(500), people(300, seed=1, age=90)), config(tmp_path, checks=checks))
    found = {score.name: score for score in message.features}
    assert found["age"].method == method
    assert found["age"].threshold == "0.05"
    assert found["age"].drifted


@pytest.mark.parametrize(("correction", "drifted"), [("None", 1), ("Bonferroni", 0), ("BenjaminiHochberg", 0)])
def test_many_tests_ask_for_a_lower_threshold_each(tmp_path, correction, drifted):
    """One p-value of three lies between the threshold and a third of it."""
    probe = config(tmp_path, checks=Checks(drift=DriftCheck(method="ks", threshold="0.05")))
    store = stored(people(400), people(400, seed=1, age=41.0))
    verdict(store, probe)
    scores = sorted(feature.score for feature in report_of(store).features)
    check = DriftCheck(method="ks", threshold=f"{scores[0] * 2:.10f}", correction=correction)
    message = verdict(store, config(tmp_path, checks=Checks(drift=check)))
    assert message.drifted_features == drifted
    lowered = [feature for feature in report_of(store).features if "threshold lowered for 3 tests" in feature.why]
    assert len(lowered) == (0 if correction == "None" else 3)


def test_include_and_exclude(tmp_path):
    store = stored(people(500), people(300))
    chosen = config(tmp_path, features=Features(include=("age", "plan"), exclude=("plan",)))
    assert [score.name for score in verdict(store, chosen).features] == ["age"]
    without = config(tmp_path, features=Features(exclude=("age",)))
    assert {score.name for score in verdict(store, without).features} == {"income", "plan"}


def test_a_column_asked_for_that_no_request_has_is_a_finding_and_drift(tmp_path):
    current = {name: values for name, values in people(300).items() if name != "plan"}
    settings = config(tmp_path, features=Features(include=("age", "plan", "ghost")))
    store = stored(people(500), current)
    message = verdict(store, settings)
    assert [(score.name, score.method, score.drifted) for score in message.features] == [
        ("plan", "missing", True),
        ("age", "linf", False),
    ]
    assert message.quality_findings == (
        "plan: features.include names it, but the current data lacks it",
        "ghost: features.include names it, but the reference lacks it",
    )
    assert "ghost" in [item.name for item in report_of(store).not_compared]


def fair(*attributes):
    check = {"attributes": attributes, "metric": "demographicParityGap"}
    return Checks.model_validate({"fairness": [check]})


def test_an_attribute_of_fairness_that_only_requests_have_is_no_new_column(tmp_path):
    current = {**people(500, seed=1), "sex": np.array(["f", "m"] * 250), "extra": np.ones(500)}
    store = stored(people(1000), current)
    message = verdict(store, config(tmp_path, checks=fair("sex"), features=Features(exclude=("churned",))))
    (finding,) = message.quality_findings
    assert finding.startswith("1 new column: extra of the current data")
    reasons = {item.name: item.reason for item in report_of(store).not_compared}
    assert reasons == {
        "sex": "only the current data has it; checks.fairness, checks.quality.columns or segments names it",
        "extra": "only the current data has it",
    }


def test_an_attribute_of_fairness_is_compared_if_both_sides_have_it_and_is_missed_if_requests_lose_it(tmp_path):
    settings = config(tmp_path, checks=fair("plan", "income"), features=Features(exclude=("churned",)))
    lost = {name: values for name, values in people(500, seed=1).items() if name != "income"}
    store = stored(people(1000), lost)
    message = verdict(store, settings)
    assert message.quality_findings[0].startswith("1 missing column: income of the reference")
    assert {score.name for score in message.features} == {"age", "plan"}


def test_missing_values_are_held_against_the_references_own(tmp_path):
    reference, current = people(500), people(400, seed=1)
    reference["age"][:50], current["age"][:60], current["income"][:200] = np.nan, np.nan, np.nan
    files = {f"{REFERENCE}a.parquet": parquet(reference), "s3://data/now/a.csv": csv(current)}
    checks = Checks(quality=QualityCheck(max_missing="0.1"))
    message = verdict(MemoryStore(files), config(tmp_path, current="s3://data/now/", checks=checks))
    assert message.quality_findings == ("income: 50% missing, 0% in the reference; at most 10% more allowed",)


def test_columns_of_nothing_never_fail_the_run(tmp_path):
    reference, current = people(500), people(400, seed=1)
    nothing = np.full(400, np.nan)
    reference["empty"], current["empty"] = np.full(500, np.nan), nothing
    current["age"] = nothing
    files = {f"{REFERENCE}a.parquet": parquet(reference), "s3://data/now/a.parquet": parquet(current)}
    store = MemoryStore(files)
    message = verdict(store, config(tmp_path, current="s3://data/now/"))
    found = {score.name: score for score in message.features}
    assert (found["age"].method, found["age"].drifted) == ("missing", True)
    assert not found["empty"].drifted
    assert not found["income"].drifted


def test_bad_numbers_are_a_finding(tmp_path):
    reference, current = people(500), people(400, seed=1)
    ages = [*(str(value) for value in current["age"][:300]), *["unknown"] * 100]
    files = {f"{REFERENCE}a.parquet": parquet(reference), "s3://data/now/a.parquet": parquet({**current, "age": ages})}
    message = verdict(MemoryStore(files), config(tmp_path, current="s3://data/now/"))
    assert message.quality_findings == ("age: 25% of the values are not numbers, 0% in the reference",)


def test_the_training_run_as_reference(tmp_path):
    content = parquet(people(600))
    entries = (entry("a.parquet", content),)
    document = manifest(InputManifest(name="train", uri=REFERENCE, digest=content_digest(entries), files=entries))
    store = stored(people(10), people(300, seed=1))
    store.objects[f"{REFERENCE}a.parquet"] = content
    store.objects["s3://models/churn/versions/abc/manifest.json"] = json.dumps(document.dump()).encode()
    reference = RunReference(uri="s3://models/churn/versions/abc/", digest=document.digest)
    assert verdict(store, config(tmp_path, reference=reference)).reference_rows == 600
    assert report_of(store).reference.description == "the training run's input"


def test_an_empty_window_is_no_verdict_and_the_reference_is_not_read(tmp_path):
    store = stored(people(500), people(300))
    del store.objects[capture_uri(CAPTURE, NOW)]
    message = silence(store, config(tmp_path))
    assert message.reason == "WindowEmpty"
    assert "s3://capture/churn/" in message.message
    assert "in the last 24h: send requests, widen current.window" in message.message
    assert store.downloaded == []


def test_requests_to_another_model_only_are_an_empty_window(tmp_path):
    store = stored(people(500), people(300))
    store.objects[capture_uri(CAPTURE, NOW)] = capture_file(record(tensors(age=[1.0]), digest="sha256:" + "b" * 64))
    message = silence(store, config(tmp_path))
    assert message.reason == "WindowEmpty"
    assert "Left out: 1 record of another model." in message.message


def test_too_few_rows_on_either_side(tmp_path):
    message = silence(stored(people(500), people(49)), config(tmp_path))
    assert message.reason == "TooFewRows"
    assert message.message.startswith("the current data has 49 rows, but checks.minRows is 50")
    assert silence(stored(people(49), people(500)), config(tmp_path)).message.startswith("the reference has 49 rows")
    assert isinstance(compare(stored(people(50), people(50)), config(tmp_path)), DriftVerdict)


def test_a_single_row_is_judged_when_the_settings_say_so(tmp_path):
    message = verdict(stored(people(1), people(1, seed=1)), config(tmp_path, checks=Checks(min_rows=1)))
    assert not message.drifted


def test_no_common_columns_names_both_sides(tmp_path):
    store = stored(people(500), people(300))
    request = {"inputs": [{"name": "predict", "shape": [100, 2], "datatype": "FP64", "data": [[1, 2]] * 100}]}
    store.objects[capture_uri(CAPTURE, NOW)] = capture_file(record(request))
    for features in (Features(), Features(include=("age",))):
        message = silence(store, config(tmp_path, features=features))
        assert message.reason == "NoCommonColumns"
        assert (
            "The reference has age, income, plan, churned; the current data has predict.0, predict.1."
            in message.message
        )


def test_only_incomparable_columns_say_why(tmp_path):
    files = {f"{REFERENCE}a.parquet": parquet({"l": [[1]] * 60}), "s3://data/now/a.parquet": parquet({"l": [[1]] * 60})}
    message = silence(MemoryStore(files), config(tmp_path, current="s3://data/now/"))
    assert message.reason == "NoCommonColumns"
    assert "l: it contains lists or records" in message.message


def test_no_files_of_the_users_own_are_an_empty_window(tmp_path):
    store = MemoryStore({f"{REFERENCE}a.parquet": parquet(people(60))})
    message = silence(store, config(tmp_path, current="s3://data/now/"))
    assert (message.reason, "s3://data/now/" in message.message) == ("WindowEmpty", True)


def test_a_corrupt_reference_fails_by_name_and_leaves_nothing(tmp_path):
    store = stored(people(500), people(300))
    store.objects[f"{REFERENCE}part-1.parquet"] = b"PAR1 half written"
    with pytest.raises(AgentError, match=r"part-1\.parquet cannot be read") as caught:
        run(config(tmp_path), store, NOW, "churn-drift-29")
    assert caught.value.failure is DATA_INVALID
    assert list((tmp_path / "scratch").iterdir()) == []


def test_a_corrupt_capture_file_is_left_out_named_and_counted(tmp_path):
    store = stored(people(1000), people(500, seed=1))
    store.objects[capture_uri(CAPTURE, NOW, "torn")] = requests(people(500, seed=2))[:-20]
    message = verdict(store, config(tmp_path, features=Features(exclude=("churned",))))
    assert (message.current_rows, message.drifted) == (500, False)
    (finding,) = message.quality_findings
    assert finding.startswith("1 of 2 capture files could not be read (")
    assert finding.endswith("): date=2026-03-10/hour=12/torn.jsonl.gz")
    assert f"Left out: {finding}." in report_of(store).notes


def test_a_window_whose_readable_files_have_no_rows_names_the_corrupt_file(tmp_path):
    store = stored(people(1000), people(500))
    store.objects[capture_uri(CAPTURE, NOW)] = capture_file(record(tensors(age=[1.0]), digest="sha256:" + "0" * 64))
    store.objects[capture_uri(CAPTURE, NOW, "torn")] = b"no gzip"
    message = silence(store, config(tmp_path))
    assert message.reason == "WindowEmpty"
    assert "1 of 2 capture files could not be read" in message.message


def test_capture_files_that_are_all_corrupt_fail_the_comparison_by_name(tmp_path):
    store = stored(people(1000), people(500))
    store.objects[capture_uri(CAPTURE, NOW)] = b"no gzip"
    with pytest.raises(AgentError, match=r"churn-1-pod-0\.jsonl\.gz cannot be read") as caught:
        compare(store, config(tmp_path))
    assert caught.value.failure is DATA_INVALID


def test_a_full_disk_is_told_as_such(tmp_path):
    class Full(MemoryStore):
        def download(self, uri, path, size=None, etag=None):
            raise OSError(errno.ENOSPC, "No space left on device")

    store = Full(stored(people(500), people(300)).objects)
    with pytest.raises(AgentError, match="disk full while writing") as caught:
        run(config(tmp_path), store, NOW, "churn-drift-29")
    assert caught.value.failure is OUT_OF_SPACE


def test_zip_codes_declared_as_categories(tmp_path):
    generator = np.random.default_rng(0)
    codes = np.array(["01067", "10115", "20095"])
    files = {
        f"{REFERENCE}a.csv": csv({"zip": generator.choice(codes, 500)}),
        "s3://data/now/a.csv": csv({"zip": generator.choice(codes, 400)}),
    }
    store = MemoryStore(files)
    settings = config(tmp_path, current="s3://data/now/", features=Features(types={"zip": "categorical"}))
    assert not verdict(store, settings).drifted
    bars = report_of(store).features[0].bars
    assert bars is not None
    assert sorted(bars.labels) == ["01067", "10115", "20095"]


def test_progress_is_logged(tmp_path, caplog):
    with caplog.at_level(logging.INFO, logger="perennial.agent"):
        verdict(stored(people(500), people(300)), config(tmp_path))
    text = caplog.text
    assert "part-0.parquet (1 of 1 files, 500 rows so far)" in text
    assert "compared 3 of 3 columns" in text
    assert "no drift: 0 of 3 columns drifted" in text


def test_wide_data_gives_the_ten_worst(tmp_path):
    generator = np.random.default_rng(0)
    reference = {f"f{index:02}": generator.normal(size=300) for index in range(40)}
    current = {name: generator.normal(index / 10, 1, 200) for index, name in enumerate(reference)}
    files = {f"{REFERENCE}a.parquet": parquet(reference), "s3://data/now/a.parquet": parquet(current)}
    message = verdict(MemoryStore(files), config(tmp_path, current="s3://data/now/"))
    assert message.compared_features == 40
    assert len(message.features) == 10
    assert min(int(score.name[1:]) for score in message.features) >= 20
    assert message.drifted
