"""The demo's steps: the examples it applies, and when it stops waiting."""

from pathlib import Path
from typing import Any

from tools.demo import jobs, s3, story
from tools.demo.images import Images
from tools.demo.timeline import Snapshot
from tools.image import Image

ARCHIVE = Path("/cache/image.tar")


IMAGES = Images(
    Image("localhost/perennial:abc", ARCHIVE), Image("registry:5000/demo:1", ARCHIVE), Image("localhost/s3:2", ARCHIVE)
)


def test_only_the_training_takes_the_image_that_was_built() -> None:
    found = {str(one["kind"]): one["spec"] for one in story.examples(IMAGES)}

    assert set(found) == {"TrainingJob", "ModelDeployment", "DriftMonitor"}
    assert [kind for kind, spec in found.items() if "image" in spec] == ["TrainingJob"]
    assert found["TrainingJob"]["image"] == IMAGES.demo.name


def test_the_examples_and_the_s3_server_speak_of_the_same_address_secret_and_buckets() -> None:
    for one in story.examples(IMAGES):
        storage = one["spec"]["storage"]
        assert (storage["endpoint"], storage["secretName"]) == (s3.ENDPOINT, jobs.S3_SECRET)
    secret, deployment, service = s3.objects("image")
    assert secret["metadata"]["name"] == jobs.S3_SECRET
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["selector"].items() <= labels.items()


def snapshot(deployment: dict[str, Any], verdict: dict[str, Any] | None = None) -> Snapshot:
    spec = {"model": {"trainingJob": "cancer"}, "runtime": {"name": "mlserver-sklearn"}}
    meta = {"name": "cancer"}
    watched = {"target": {"modelDeployment": "cancer"}, "schedule": "* * * * *", "reference": {"from": "TrainingRun"}}
    return Snapshot.of(
        [
            {"kind": "ModelDeployment", "metadata": meta, "spec": spec, "status": deployment},
            {"kind": "DriftMonitor", "metadata": meta, "spec": watched, "status": {"lastVerdict": verdict}},
        ]
    )


def revision(digest: str) -> dict[str, Any]:
    since = "2026-01-31T12:00:00Z"
    return {"name": f"cancer-{digest}", "hash": digest, "uri": "s3://m/v", "digest": digest, "since": since}


def condition(kind: str, value: str, message: str = "") -> dict[str, Any]:
    at = "2026-01-31T12:00:00Z"
    return {"type": kind, "status": value, "reason": "Because", "message": message, "lastTransitionTime": at}


READY = condition("Ready", "True")


def test_a_model_is_replaced_when_another_serves_and_nothing_is_under_way() -> None:
    one = snapshot({"stable": revision("aaa"), "url": "http://cancer", "conditions": [READY]})
    other = snapshot({"stable": revision("bbb"), "url": "http://cancer", "conditions": [READY]})
    under_way = snapshot(
        {
            "stable": revision("bbb"),
            "url": "http://cancer",
            "conditions": [READY],
            "candidate": {**revision("ccc"), "phase": "Progressing"},
        }
    )
    first = story.serving(one)

    assert first is not None
    assert not story.replaced(one, first)
    assert story.replaced(other, first)
    assert not story.replaced(under_way, first)
    assert story.serving(snapshot({"stable": revision("aaa"), "conditions": [READY]})) is None


def test_a_verdict_counts_for_the_model_it_speaks_of() -> None:
    verdict = {
        "id": "cancer-1",
        "time": "2026-01-31T12:00:00Z",
        "digest": "aaa",
        "drifted": True,
        "driftedFeatures": 3,
        "comparedFeatures": 4,
        "referenceRows": 100,
        "currentRows": 100,
    }
    now = snapshot({"stable": revision("aaa"), "url": "http://cancer", "conditions": [READY]}, verdict)
    mine = story.serving(now)
    assert mine is not None

    assert story.judged(now, mine, drifted=True)
    assert not story.judged(now, mine, drifted=False)
    assert not story.judged(now, mine.model_copy(update={"digest": "bbb"}), drifted=True)


def test_what_cannot_come_any_more_is_not_waited_for() -> None:
    stalled = condition("Stalled", "True", "spec.runtime.name: there is no such preset")
    failed = {**revision("ccc"), "phase": "Failed", "reason": "Crashed", "message": "the server ended with 1"}

    assert story.lost(snapshot({"conditions": [READY]})) is None
    assert "no such preset" in (story.lost(snapshot({"conditions": [stalled]})) or "")
    assert "ended with 1" in (story.lost(snapshot({"candidate": failed})) or "")


def test_a_model_that_a_gate_refuses_is_no_failure_of_the_demo_but_another_one_is() -> None:
    refused = {**revision("bad"), "phase": "Failed", "reason": "GateFailed", "message": "gate quality: worse"}
    crashed = {**revision("ccc"), "phase": "Failed", "reason": "ServerCrashed", "message": "the server ended with 1"}
    bad = story.refused(snapshot({"candidate": refused}))

    assert bad is not None
    assert story.refused(snapshot({"candidate": crashed})) is None
    assert story.refused(snapshot({"stable": revision("aaa")})) is None
    assert "gate quality" in (story.lost(snapshot({"candidate": refused})) or "")
    assert story.lost_after(bad)(snapshot({"candidate": refused})) is None
    assert "ended with 1" in (story.lost_after(bad)(snapshot({"candidate": crashed})) or "")
    stuck = condition("Stalled", "True", "there is no such preset")
    assert "no such preset" in (story.lost_after(bad)(snapshot({"conditions": [stuck]})) or "")


def test_requests_are_split_when_another_candidate_than_the_refused_one_has_its_share() -> None:
    bad = story.refused(snapshot({"candidate": {**revision("bad"), "phase": "Failed", "reason": "GateFailed"}}))
    waiting = {**revision("good"), "phase": "Progressing"}

    assert not story.split(snapshot({"candidate": waiting}), bad)
    assert story.split(snapshot({"candidate": {**waiting, "reachedWeight": 50}}), bad)
    assert not story.split(snapshot({"candidate": {**waiting, "digest": "bad", "reachedWeight": 50}}), bad)
