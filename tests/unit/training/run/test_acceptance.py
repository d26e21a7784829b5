"""Which models are accepted: by table, and in the simulated cluster."""

from __future__ import annotations

from typing import Any

import pytest

from perennial.api.trainingjob.policies import Criterion
from perennial.training.run.acceptance import unmet_criteria
from tests.support.builders import condition, ended, published
from tests.unit.training.simulation import Cluster

MARGIN = {"metric": "auc", "notWorseThanCurrentBy": "0.01"}
LOSS = {"metric": "loss", "notWorseThanCurrentBy": "0", "goal": "Minimize"}

# Criterion, the run's metrics, the present artifact's; what is wrong.
CASES: list[tuple[dict[str, Any], dict[str, str] | None, dict[str, str] | None, str | None]] = [
    ({"metric": "auc", "min": "0.9"}, {"auc": "0.9"}, None, None),
    ({"metric": "auc", "min": "0.9"}, {"auc": "0.89999"}, None, "auc is 0.89999, below the minimum of 0.9"),
    ({"metric": "auc", "min": "0.9"}, {"auc": "9.1e-1"}, None, None),
    ({"metric": "auc", "min": "0.9"}, {"loss": "1"}, None, "metrics.json contains no number for auc"),
    ({"metric": "auc", "min": "0.9"}, None, None, "metrics.json contains no number for auc"),
    ({"metric": "auc", "min": "0.9"}, {"auc": "NaN"}, None, "metrics.json contains no number for auc"),
    ({"metric": "auc", "min": "0.9"}, {"auc": "inf"}, None, "metrics.json contains no number for auc"),
    ({"metric": "auc", "min": "0.9"}, {"auc": "very good"}, None, "metrics.json contains no number for auc"),
    ({"metric": "loss", "max": "-1"}, {"loss": "-1.5"}, None, None),
    ({"metric": "loss", "max": "-1"}, {"loss": "0"}, None, "loss is 0, above the maximum of -1"),
    (MARGIN, {"auc": "0.2"}, None, None),
    (MARGIN, {"auc": "0.2"}, {"loss": "1"}, None),
    (MARGIN, {"auc": "0.2"}, {"auc": "nan"}, None),
    (MARGIN, {"auc": "0.80"}, {"auc": "0.81"}, None),
    (MARGIN, {"auc": "0.79"}, {"auc": "0.81"}, "auc is 0.79, more than 0.01 worse than the current 0.81"),
    (MARGIN, {"auc": "0.99"}, {"auc": "0.81"}, None),
    (LOSS, {"loss": "0.5"}, {"loss": "0.5"}, None),
    (LOSS, {"loss": "0.6"}, {"loss": "0.5"}, "loss is 0.6, more than 0 worse than the current 0.5"),
]


@pytest.mark.parametrize(("criterion", "metrics", "current", "expected"), CASES)
def test_one_criterion(
    criterion: dict[str, Any], metrics: dict[str, str] | None, current: dict[str, str] | None, expected: str | None
) -> None:
    assert unmet_criteria((Criterion.model_validate(criterion),), metrics, current) == expected


def test_all_must_be_met_and_each_that_is_not_is_named() -> None:
    both = tuple(Criterion.model_validate(item) for item in (MARGIN, {"metric": "auc", "min": "0.9"}))

    assert unmet_criteria(both, {"auc": "0.7"}, {"auc": "0.9"}) == (
        "auc is 0.7, more than 0.01 worse than the current 0.9; auc is 0.7, below the minimum of 0.9"
    )
    assert unmet_criteria(None, None, None) is None


def run(cluster: Cluster, auc: str) -> None:
    """Start the run that is due and let it succeed with this metric."""
    cluster.reconcile()
    (name,) = cluster.busy()
    digest = f"sha256:{cluster.made:064x}"
    said = published(digest=digest, uri=f"s3://models/churn/versions/{digest[7:19]}/", metrics={"auc": auc})
    cluster.run_pod(name, "Succeeded", ended("fetch"), ended("agent", message=said), ended("train"))
    cluster.jobs[name]["status"] = {"conditions": [condition("Complete")]}
    cluster.reconcile()


def conditions(cluster: Cluster) -> dict[str, tuple[str, str]]:
    return {item["type"]: (item["status"], item["reason"]) for item in cluster.resource["status"]["conditions"]}


def test_a_rejected_model_is_kept_and_named_and_the_present_one_stays() -> None:
    cluster = Cluster()
    cluster.change(spec={"acceptance": [MARGIN]})
    run(cluster, "0.8")
    cluster.annotate("perennial.dev/run-now", "1")
    run(cluster, "0.7")

    status = cluster.resource["status"]
    rejected = status["runs"][0]
    assert (rejected["result"], rejected["reason"], rejected["metrics"]) == ("Rejected", "Rejected", {"auc": "0.7"})
    assert rejected["artifactUri"].startswith("s3://models/churn/versions/")
    assert status["artifact"]["run"] == "churn-1"
    assert conditions(cluster)["Ready"] == ("True", "RunSucceeded")
    assert conditions(cluster)["RetrainFailed"] == ("True", "Rejected")
    cluster.settle()
    assert cluster.made == 2


def test_a_first_model_that_is_rejected_leaves_nothing_to_serve_and_says_so() -> None:
    cluster = Cluster()
    cluster.change(spec={"acceptance": [{"metric": "auc", "min": "0.9"}]})
    run(cluster, "0.7")

    status = cluster.resource["status"]
    assert "artifact" not in status
    assert status["phase"] == "Rejected"
    assert conditions(cluster)["Ready"] == ("False", "Rejected")
    assert conditions(cluster)["Stalled"] == ("True", "Rejected")
    cluster.settle()
    assert cluster.made == 1
