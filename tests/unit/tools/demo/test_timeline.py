from typing import Any

import pytest
from pydantic import ValidationError

from tools.demo.timeline import Snapshot, lines, short

FIRST = "sha256:" + "1" * 64
SECOND = "sha256:" + "2" * 64
TIME = "2026-03-10T12:00:00Z"
STORAGE = {"endpoint": "http://s3:7070", "secretName": "s3"}

Raw = dict[str, Any]


def training_job(**status: Any) -> Raw:
    return {
        "kind": "TrainingJob",
        "metadata": {"name": "cancer", "namespace": "demo", "uid": "u1"},
        "spec": {"image": "train:1", "output": {"uri": "s3://models/cancer/"}, "storage": STORAGE},
        "status": status,
    }


def current_run(number: int = 1, attempt: int = 0, trigger: Raw | None = None, **more: Any) -> Raw:
    return {
        "name": f"cancer-{number}",
        "number": number,
        "attempt": attempt,
        "trigger": trigger or {"kind": "Created"},
        "specHash": "h",
        "generation": 1,
        "job": f"cancer-{number}-{attempt}",
        "startTime": TIME,
        "attemptTime": TIME,
        **more,
    }


def ended_run(number: int = 1, digest: str | None = FIRST, auc: str = "0.95", **more: Any) -> Raw:
    return {
        "name": f"cancer-{number}",
        "number": number,
        "result": "Succeeded",
        "reason": "Published",
        "trigger": {"kind": "Created"},
        "attempts": 1,
        "startTime": TIME,
        "completionTime": TIME,
        "specHash": "h",
        "generation": 1,
        "metrics": {"auc": auc, "rows": "238"},
        **({"artifactDigest": digest} if digest else {}),
        **more,
    }


def artifact(number: int = 1, digest: str = FIRST, auc: str = "0.95") -> Raw:
    return {
        "uri": "s3://models/cancer/versions/x/",
        "digest": digest,
        "run": f"cancer-{number}",
        "metrics": {"auc": auc, "rows": "238"},
        "time": TIME,
    }


def deployment(**status: Any) -> Raw:
    return {
        "kind": "ModelDeployment",
        "metadata": {"name": "cancer", "namespace": "demo", "uid": "u2"},
        "spec": {"model": {"trainingJob": "cancer"}, "runtime": {"name": "mlserver-sklearn"}},
        "status": status,
    }


def revision(number: int = 1, digest: str = FIRST, **more: Any) -> Raw:
    return {
        "name": f"cancer-r{number}",
        "hash": f"r{number}",
        "uri": "s3://models/cancer/versions/x/",
        "digest": digest,
        "run": f"cancer-{number}",
        "since": TIME,
        **more,
    }


def monitor(**status: Any) -> Raw:
    return {
        "kind": "DriftMonitor",
        "metadata": {"name": "cancer", "namespace": "demo", "uid": "u3"},
        "spec": {
            "target": {"modelDeployment": "cancer"},
            "schedule": "* * * * *",
            "reference": {"from": "TrainingRun"},
            "onDrift": {"retrain": {"trainingJob": "cancer"}},
        },
        "status": status,
    }


def verdict(name: str = "cancer-100", *, drifted: bool = False, **more: Any) -> Raw:
    return {
        "id": name,
        "time": TIME,
        "run": "cancer-1",
        "digest": FIRST,
        "drifted": drifted,
        "driftedFeatures": 22 if drifted else 1,
        "comparedFeatures": 30,
        "referenceRows": 238,
        "currentRows": 300,
        **more,
    }


def feature(name: str, score: str, *, drifted: bool = True, method: str = "ks", threshold: str = "0.001") -> Raw:
    return {"name": name, "method": method, "score": score, "threshold": threshold, "drifted": drifted}


def told(before: list[Raw] | None, after: list[Raw]) -> list[str]:
    return lines(None if before is None else Snapshot.of(before), Snapshot.of(after))


def test_nothing_new_is_told_twice() -> None:
    world = [
        training_job(currentRun=current_run(2), runs=[ended_run()], artifact=artifact()),
        deployment(stable=revision(), phase="Stable", url="http://cancer.demo"),
        monitor(lastVerdict=verdict(drifted=True), retrain={"verdict": "cancer-100", "time": TIME}),
    ]
    assert told(world, world) == []


def test_a_run_is_told_from_its_start_to_its_artifact() -> None:
    assert told([training_job()], [training_job(currentRun=current_run())]) == [
        "training run cancer-1 started (the TrainingJob is new)"
    ]
    after = training_job(runs=[ended_run()], artifact=artifact())
    assert told([training_job(currentRun=current_run())], [after]) == [
        "artifact published by run cancer-1: sha256:111111111111",
        "  metrics: auc 0.95, rows 238",
    ]


def test_a_start_that_fell_between_two_looks_is_told_before_the_end() -> None:
    assert told([training_job()], [training_job(runs=[ended_run()], artifact=artifact())])[:2] == [
        "training run cancer-1 started (the TrainingJob is new)",
        "artifact published by run cancer-1: sha256:111111111111",
    ]


def test_a_retraining_names_its_verdict_and_its_metrics_beside_the_old_ones() -> None:
    first = training_job(runs=[ended_run()], artifact=artifact())
    trigger = {"kind": "Drift", "monitor": "cancer", "verdict": "cancer-100"}
    running = training_job(runs=[ended_run()], artifact=artifact(), currentRun=current_run(2, trigger=trigger))
    assert told([first], [running]) == [
        "training run cancer-2 started (requested by DriftMonitor cancer, verdict cancer-100)"
    ]
    done = training_job(
        runs=[ended_run(2, SECOND, auc="0.97", trigger=trigger), ended_run()], artifact=artifact(2, SECOND, "0.97")
    )
    assert told([running], [done]) == [
        "artifact published by run cancer-2: sha256:222222222222",
        "  metrics: auc 0.95 → 0.97, rows 238",
    ]


def test_another_attempt_says_why_and_a_failed_run_how_it_ended() -> None:
    before = training_job(currentRun=current_run())
    again = training_job(currentRun=current_run(attempt=1, lastFailure="exit code 1"))
    assert told([before], [again]) == ["training run cancer-1 is retried, attempt 2: exit code 1"]
    failed = ended_run(digest=None, result="Failed", reason="RetriesExhausted", message="exit code 1")
    assert told([again], [training_job(runs=[failed])]) == [
        "training run cancer-1 ended: Failed (RetriesExhausted): exit code 1"
    ]
    empty = training_job(runs=[ended_run(digest=None)])
    assert told([before], [empty]) == ["training run cancer-1 succeeded; it published nothing"]


def test_a_rollout_is_told_from_candidate_to_stable() -> None:
    progressing = deployment(candidate=revision(phase="Progressing"), phase="Progressing")
    assert told([deployment()], [progressing]) == [
        "candidate cancer-r1 is rolled out: model sha256:111111111111 of run cancer-1"
    ]
    stable = deployment(stable=revision(), phase="Stable", url="http://cancer.demo:80")
    assert told([progressing], [stable]) == [
        "deployment cancer: cancer-r1 serves, model sha256:111111111111 of run cancer-1",
        "  URL inside the cluster: http://cancer.demo:80",
        "deployment cancer is stable",
    ]


def test_a_new_model_takes_over_without_the_address_being_told_again() -> None:
    url = "http://cancer.demo:80"
    both = deployment(
        stable=revision(), candidate=revision(2, SECOND, phase="Progressing"), phase="Progressing", url=url
    )
    after = deployment(stable=revision(2, SECOND), previous=revision(), phase="Stable", url=url)
    assert told([both], [after]) == [
        "deployment cancer: cancer-r2 is promoted and receives all traffic, model sha256:222222222222 of run cancer-2",
        "deployment cancer is stable",
    ]


def test_a_failed_candidate_is_told_once_with_its_cause() -> None:
    progressing = deployment(stable=revision(), candidate=revision(2, SECOND, phase="Progressing"))
    failed = deployment(
        stable=revision(),
        candidate=revision(2, SECOND, phase="Failed", reason="ProgressDeadlineExceeded", message="pods crash"),
    )
    assert told([progressing], [failed]) == ["candidate cancer-r2 failed (ProgressDeadlineExceeded): pods crash"]
    assert told([failed], [failed]) == []


def test_scaling_shows() -> None:
    one = deployment(stable=revision(), replicas=1, readyReplicas=1, phase="Stable")
    two = deployment(stable=revision(), replicas=2, readyReplicas=2, phase="Stable")
    assert told([one], [two]) == ["deployment cancer: 2 of 2 pods are ready"]


def test_a_verdict_without_drift_is_one_line() -> None:
    calm = monitor(lastVerdict=verdict(features=[feature("mean_radius", "0.3", drifted=False)]))
    assert told([monitor()], [calm]) == [
        (
            "monitor cancer: no drift, 1 of 30 columns drifted "
            "(300 rows in the window, 238 in the reference, model of run cancer-1)"
        )
    ]


def test_drift_shows_its_worst_features_its_report_and_what_it_asks_for() -> None:
    features = [
        feature("worst_radius", "0"),
        feature("area_error", "0.0000123"),
        feature("mean_area", "0.41", method="wasserstein", threshold="0.1"),
        feature("mean_texture", "0.4", drifted=False),
    ]
    drift = monitor(
        lastVerdict=verdict(
            "cancer-200",
            drifted=True,
            features=features,
            qualityFindings=["mean_area: 12 % missing"],
            reportUri="s3://reports/cancer/cancer-200/report.html",
        ),
        retrain={"verdict": "cancer-200", "time": TIME},
    )
    assert told([monitor(lastVerdict=verdict())], [drift]) == [
        (
            "monitor cancer: DRIFT, 22 of 30 columns drifted "
            "(300 rows in the window, 238 in the reference, model of run cancer-1)"
        ),
        "  worst_radius  ks p < 1e-10 (threshold 0.001)",
        "  area_error    ks p = 1.2e-05 (threshold 0.001)",
        "  mean_area     wasserstein 0.41 (threshold 0.1)",
        "  data: mean_area: 12 % missing",
        "  report: s3://reports/cancer/cancer-200/report.html",
        "monitor cancer requests a run of TrainingJob cancer, because of verdict cancer-200",
    ]


def test_no_verdict_and_a_failed_comparison_say_why_once_each() -> None:
    few = monitor(
        lastRun={"job": "j1", "time": TIME, "result": "NoVerdict", "reason": "TooFewRows", "message": "12 rows"}
    )
    broken = monitor(lastRun={"job": "j2", "time": TIME, "result": "Failed", "reason": "AccessDenied"})
    assert told([monitor()], [few]) == ["monitor cancer has no verdict yet (TooFewRows): 12 rows"]
    assert told([few], [broken]) == ["monitor cancer failed to compare (AccessDenied)"]
    assert told([few], [few]) == []


@pytest.mark.parametrize(
    ("make", "kind"), [(training_job, "TrainingJob"), (deployment, "ModelDeployment"), (monitor, "DriftMonitor")]
)
def test_what_only_a_person_can_mend_is_told_once(make: Any, kind: str) -> None:
    stalled = make(
        conditions=[
            {
                "type": "Stalled",
                "status": "True",
                "reason": "SecretMissing",
                "message": "make it",
                "lastTransitionTime": TIME,
            }
        ]
    )
    assert told([make()], [stalled]) == [f"{kind} cancer is stalled (SecretMissing): make it"]
    assert told([stalled], [stalled]) == []


def test_a_first_look_tells_all_that_has_happened_so_far() -> None:
    world = [training_job(runs=[ended_run(2, SECOND, auc="0.97"), ended_run()], artifact=artifact(2, SECOND, "0.97"))]
    assert told(None, world) == [
        "training run cancer-1 started (the TrainingJob is new)",
        "artifact published by run cancer-1: sha256:111111111111",
        "  metrics: auc 0.95, rows 238",
        "training run cancer-2 started (the TrainingJob is new)",
        "artifact published by run cancer-2: sha256:222222222222",
        "  metrics: auc 0.95 → 0.97, rows 238",
    ]


def test_a_resource_made_anew_under_its_old_name_starts_its_story_anew() -> None:
    old = training_job(runs=[ended_run()], artifact=artifact())
    new = training_job(currentRun=current_run())
    new["metadata"]["uid"] = "another"
    assert told([old], [new]) == ["training run cancer-1 started (the TrainingJob is new)"]


def test_other_kinds_are_left_out_and_broken_objects_refused() -> None:
    assert Snapshot.of([{"kind": "Pod"}]) == Snapshot()
    with pytest.raises(ValidationError):
        Snapshot.of([{"kind": "TrainingJob", "metadata": {"name": "x"}, "spec": {}}])


def test_short_digests_keep_their_kind() -> None:
    assert short(FIRST) == "sha256:111111111111"


def test_gates_that_pass_and_the_share_of_requests_are_told_once() -> None:
    gate = {"name": "quality", "type": "evaluation", "time": TIME, "verdict": "Pending", "message": "the Job runs"}
    waiting = {**revision(2, SECOND), "phase": "Progressing", "gates": [gate]}
    passed = {**waiting, "gates": [{**gate, "verdict": "Passed", "message": "accuracy gains 0.01"}]}
    sharing = {**passed, "weight": 50, "reachedWeight": 50}

    def told(before: Raw, after: Raw) -> list[str]:
        one, other = (Snapshot.of([deployment(stable=revision(), candidate=item)]) for item in (before, after))
        return lines(one, other)

    assert told(waiting, waiting) == []
    assert told(waiting, passed) == ["candidate cancer-r2 passes the gate quality: accuracy gains 0.01"]
    assert told(passed, sharing) == ["candidate cancer-r2 takes 50 % of the requests"]
    assert told(sharing, sharing) == []
