"""A model in the middle of a canary, for the dashboard: every part of its page has something to show."""

from __future__ import annotations

from typing import Any

from perennial.core.kinds import Raw
from tests.support.builders import EARLIER, NOW, artifact, drift_monitor, model_deployment, training_job
from tests.unit.cli.world import FakeCluster, ready, reconciling, revision, run_record, status


def gate(name: str, verdict: str, message: str = "", **figures: str) -> dict[str, Any]:
    return {"name": name, "type": name, "verdict": verdict, "message": message, "time": NOW, "figures": figures}


def candidate(weight: int, step: int, *gates: dict[str, Any], **more: Any) -> dict[str, Any]:
    return revision(
        "bbb",
        "b",
        run="churn-3",
        phase="Progressing",
        weight=weight,
        reachedWeight=weight,
        step=step,
        message=f"step {step}: {weight} % of requests",
        gates=list(gates),
        **more,
    )


def feature(name: str, score: str, drifted: bool, **more: Any) -> dict[str, Any]:
    return {"name": name, "method": "psi", "score": score, "threshold": "0.2", "drifted": drifted, **more}


def verdict(**more: Any) -> dict[str, Any]:
    return {
        "id": "churn-29",
        "time": NOW,
        "run": "churn-2",
        "drifted": True,
        "driftedFeatures": 2,
        "comparedFeatures": 4,
        "referenceRows": 20000,
        "currentRows": 4800,
        "features": [
            feature("monthly_charges", "0.47", True),
            feature("tenure", "0.0000031", True, method="ks", pValue="3.1e-06", statistic="0.21", threshold="0.01"),
            feature("contract", "0.08", False),
            feature("region", "0.02", False),
        ],
        "scores": [
            {
                "check": "performance",
                "metric": "rocAuc",
                "value": "0.871",
                "low": "0.858",
                "high": "0.884",
                "limit": "at least 0.85",
                "failed": False,
                "rows": 2100,
            },
            {
                "check": "fairness",
                "metric": "equalOpportunityGap",
                "subject": "sex",
                "failed": False,
                "why": "too few labelled rows in group X: 12 of 100",
            },
        ],
        **more,
    }


def run_of(number: int, auc: str, rate: str, letter: str, **more: Any) -> dict[str, Any]:
    return run_record(
        number,
        parameters={"learning_rate": rate, "depth": "6"},
        metrics={"auc": auc, "logLoss": "0.31"},
        inputs=[{"name": "train", "uri": "s3://data/churn/", "digest": f"sha256:{letter * 64}"}],
        image="registry.example.com/churn:4",
        artifactDigest=f"sha256:{letter * 64}",
        artifactUri="s3://models/churn/",
        **more,
    )


def job(*, status_fields: dict[str, Any] | None = None) -> Raw:
    drift = {"kind": "Drift", "monitor": "churn", "verdict": "churn-29"}
    fields: dict[str, Any] = {
        "runs": [
            run_of(3, "0.891", "0.05", "b", trigger=drift),
            run_of(2, "0.874", "0.1", "a"),
            run_record(1, result="Failed", reason="OutOfMemory", message="train used more than 1Gi; raise the limit"),
        ],
        "artifact": artifact("b", 3),
        **(status_fields or {}),
    }
    return training_job(status=status(*ready("Succeeded", "run churn-3 has published"), **fields))


def deployment(found: dict[str, Any] | None, **more: Any) -> Raw:
    serving = model_deployment(rollout={"strategy": "Canary"})
    conditions = reconciling("RollingOut", "churn-bbb is rolled out") if found else ready("Serving", "churn-aaa serves")
    serving["status"] = status(
        *conditions,
        stable=revision("aaa", "a", run="churn-2"),
        replicas=3,
        readyReplicas=3,
        history=[
            {
                "name": "churn-aaa",
                "digest": f"sha256:{'a' * 64}",
                "run": "churn-2",
                "result": "Promoted",
                "time": EARLIER,
                "approval": {"by": "ada@example.com", "time": EARLIER},
            }
        ],
        **({"candidate": found} if found else {}),
        **more,
    )
    return serving


def monitor(**more: Any) -> Raw:
    fields = {"lastVerdict": verdict(), "retrain": {"verdict": "churn-29", "time": NOW}, **more}
    retrain = {"retrain": {"trainingJob": "churn"}}
    return drift_monitor(status(*ready("Watching"), **fields), onDrift=retrain)


GATES = (
    gate("errorRate", "Passed", "at most 1 % of 2130 requests", value="0.002", max="0.01", requests="2130"),
    gate("latency", "Passed", "p99 is within the limit", value="84 ms", max="150 ms"),
    gate("accuracy", "Pending", "the Job evaluates both revisions"),
)


def cluster(weight: int = 25, step: int = 2) -> FakeCluster:
    return FakeCluster(job(), deployment(candidate(weight, step, *GATES)), monitor())
