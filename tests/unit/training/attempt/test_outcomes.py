"""Every way in which an attempt can end, as one table."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from perennial.agent.cli import encode
from perennial.api.contract.messages import Published
from perennial.core.failures import TABLE, AgentFailure
from perennial.core.times import parse_time
from perennial.training.attempt.outcomes import (
    COMPLETE_GRACE_SECONDS,
    FAILED_GRACE_SECONDS,
    AttemptOutcome,
    outcome_of,
    version_uri,
)
from perennial.training.job.plan import Lineage
from perennial.training.observe import OwnedJob, OwnedPod
from tests.support.builders import (
    DIGEST,
    NOW,
    OUTPUT,
    VERSION_URI,
    condition,
    ended,
    failure,
    published,
    running,
    said,
    waiting,
)
from tests.unit.training.objects import complete, failed, job, pod

NOON = parse_time(NOW)
PUBLISHES = Lineage.model_validate({"image": "train:1", "output": {"uri": OUTPUT}})
SILENT = Lineage(image="train:1")


def outcome(
    job: OwnedJob, pod: OwnedPod | None, lineage: Lineage = PUBLISHES, after: float = 0
) -> AttemptOutcome | None:
    return outcome_of(job, pod, lineage, NOON + timedelta(seconds=after))


def code(exit_code: int, reason: str = "", message: str = "") -> OwnedPod:
    return pod("Failed", ended("fetch"), ended("agent"), ended("train", exit_code, reason, message))


def sidecar(message: str, exit_code: int = 0, **more: Any) -> OwnedPod:
    return pod("Succeeded", ended("fetch"), ended("agent", exit_code, message=message, **more), ended("train"))


def evicted(message: str, **status: Any) -> OwnedPod:
    return pod("Failed", reason="Evicted", message=message, **status)


DISRUPTION = condition("DisruptionTarget", reason="EvictionByEvictionAPI", message="drained")
DRAINED = pod("Failed", ended("train", 143), conditions=[DISRUPTION])
REFUSED = pod("Failed", reason="OutOfcpu", message="Node didn't have enough resource: cpu")
LOW = "The node was low on resource: ephemeral-storage"
OVER = "Pod ephemeral local storage usage exceeds the total limit of containers 1Gi."
FULL = 'Usage of EmptyDir volume "workspace" exceeds the limit "1Gi". '
ROWS: list[tuple[str, OwnedJob, OwnedPod | None, str, str]] = [
    # what happened, Job, pod, ending, reason
    ("published", complete(), sidecar(published()), "Succeeded", "RunSucceeded"),
    ("published, no slash", complete(), sidecar(published(uri=VERSION_URI.rstrip("/"))), "Succeeded", "RunSucceeded"),
    ("nothing to publish", complete(), sidecar(said("NothingToPublish")), "Fatal", "OutputEmpty"),
    ("deadline", failed("DeadlineExceeded"), None, "Fatal", "DeadlineExceeded"),
    ("deadline, pod dying of it", failed("DeadlineExceeded"), code(143), "Fatal", "DeadlineExceeded"),
    ("code fails", failed(), code(1), "Failed", "TrainingFailed"),
    ("code fails by a signal", failed(), code(139), "Failed", "TrainingFailed"),
    ("code out of memory", failed(), code(137, "OOMKilled"), "Failed", "OutOfMemory"),
    ("code killed otherwise", failed(), code(137), "Failed", "TrainingFailed"),
    ("shell finds no command", failed(), code(127), "Fatal", "CommandNotFound"),
    ("shell may not run it", failed(), code(126), "Fatal", "CommandNotFound"),
    (
        "no such command",
        failed(),
        code(128, "StartError", 'exec: "pyhton": executable file not found in $PATH'),
        "Fatal",
        "CommandNotFound",
    ),
    (
        "no such file",
        failed(),
        code(127, "ContainerCannotRun", "exec: /run.sh: no such file or directory"),
        "Fatal",
        "CommandNotFound",
    ),
    (
        "another CPU",
        failed(),
        code(255, message="exec /usr/bin/python3: exec format error"),
        "Fatal",
        "WrongArchitecture",
    ),
    (
        "another CPU, by the container runtime",
        failed(),
        code(128, "StartError", 'exec: "/usr/bin/python3": exec format error'),
        "Fatal",
        "WrongArchitecture",
    ),
    ("code that speaks of another CPU", failed(), code(3, message="exec format error"), "Failed", "TrainingFailed"),
    ("runtime hiccup", failed(), code(128, "StartError", "cgroup busy"), "Failed", "ContainerStartFailed"),
    ("disruption by the Job's word", failed("PodFailurePolicy"), None, "Disrupted", "Disrupted"),
    ("disruption by the pod's word", failed(), DRAINED, "Disrupted", "Disrupted"),
    (
        "pod deleted by hand",
        failed(),
        pod("Failed", ended("train", 143), meta={"deletionTimestamp": NOW}),
        "Disrupted",
        "PodDeleted",
    ),
    ("node refuses", failed(), REFUSED, "Disrupted", "Disrupted"),
    ("node low on disk", failed(), evicted(LOW), "Disrupted", "Disrupted"),
    ("workspace full", failed(), evicted(FULL), "Fatal", "OutOfSpace"),
    (
        "ephemeral storage over its limit, and marked as disruption",
        failed("PodFailurePolicy"),
        evicted(OVER, conditions=[DISRUPTION]),
        "Fatal",
        "OutOfSpace",
    ),
    ("pod fails without a word", failed(), pod("Failed", waiting("train", "PodInitializing")), "Failed", "PodFailed"),
    ("fetch out of memory", failed(), pod("Failed", ended("fetch", 137, "OOMKilled")), "Failed", "OutOfMemory"),
    ("a step fails", failed(), pod("Failed", ended("fetch"), ended("prepare-a", 1)), "Failed", "PrepareFailed"),
    ("a step lacks its command", failed(), pod("Failed", ended("prepare-a", 127)), "Fatal", "PrepareFailed"),
    (
        "a step is out of memory",
        failed(),
        pod("Failed", ended("prepare-a", 137, "OOMKilled")),
        "Failed",
        "PrepareFailed",
    ),
    ("fetch ends strangely", failed(), pod("Failed", ended("fetch", 3)), "Failed", "AgentCrashed"),
    ("sidecar out of memory", complete(), sidecar("", 137), "Failed", "Interrupted"),
    ("sidecar killed at the end of its time", complete(), sidecar("", 143), "Failed", "Interrupted"),
    ("sidecar silent", complete(), sidecar(""), "Failed", "BadTerminationMessage"),
    ("sidecar never ran", complete(), pod("Succeeded", ended("train")), "Failed", "BadTerminationMessage"),
    (
        "sidecar crashed before, and waited when the code ended",
        complete(),
        pod(
            "Succeeded",
            {**waiting("agent", "CrashLoopBackOff"), "lastState": ended("agent", 64)["state"]},
            ended("train"),
        ),
        "Fatal",
        "AgentConfigInvalid",
    ),
]


@pytest.mark.parametrize(("job", "pod", "ending", "reason"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_every_end_is_told_apart(job: OwnedJob, pod: OwnedPod | None, ending: str, reason: str) -> None:
    found = outcome(job, pod)

    assert found is not None
    assert (found.ending, found.reason) == (ending, reason)
    assert found.message or ending == "Succeeded"


@pytest.mark.parametrize("known", TABLE, ids=lambda known: known.reason)
def test_every_failure_of_the_agent_keeps_its_reason_and_its_next_step(known: AgentFailure) -> None:
    words = failure(known.reason, "s3://data/x is not there")
    fetching = outcome(failed(), pod("Failed", ended("fetch", known.code, message=words)))
    publishing = outcome(complete(), sidecar(words, known.code))

    for found in (fetching, publishing):
        assert found is not None
        assert found.reason == known.reason
        assert found.ending == ("Failed" if known.retriable else "Fatal")
        assert known.next_step in found.message
        assert "s3://data/x is not there" in found.message


def test_a_killed_sidecar_says_what_gives_it_more_time() -> None:
    found = outcome(complete(), sidecar("", 137))

    assert found is not None
    assert "workspace.sizeLimit" in found.message


HOSTILE = {
    "not JSON": "all is well",
    "huge": published(metrics={"a": "1"}) + " " * 5000,
    "raw control characters": published().replace("auc", "a\x1bc"),
    "another's version": published(uri="s3://models/fraud/versions/abababababab/"),
    "outside by dots": published(uri="s3://models/churn/../fraud/versions/abababababab/"),
    "another's digest": published(digest="sha256:" + "00" * 32),
    "beside the versions": published(uri="s3://models/churn/abababababab/"),
    "a time that is none": published(time="yesterday"),
    "a time before all computers": published(time="0007-01-01T00:00:00Z"),
    "a time beyond the calendar": published(time="0001-01-01T00:00:00+14:00"),
    "unknown fields": json.dumps({**json.loads(published()), "artifact": "x"}),
    "another kind": said("Fetched", inputs=[]),
    "a failure with exit code 0": failure("BucketNotFound"),
    "deep nesting": "[" * 4000,
    "a number": "1",
}


@pytest.mark.parametrize("containers", [3, 4, 5, 7, 11, 20])
def test_a_truncated_message_does_not_repeat_the_training(containers: int) -> None:
    message = Published(
        digest=DIGEST,
        files=3,
        bytes=1,
        time=NOW,
        uri=VERSION_URI,
        metrics={f"validation/segment_{n:02d}/weighted_average_precision_at_k": f"0.{'1' * 16}" for n in range(32)},
    )
    truncated = encode(message).encode()[: 12288 // containers].decode()

    found = outcome(complete(), sidecar(truncated))

    assert found is not None
    assert (found.ending, found.reason) == ("Succeeded", "RunSucceeded")
    assert found.published is not None
    assert (found.published.digest, found.published.uri) == (DIGEST, VERSION_URI)
    assert len(found.published.metrics) == 32 or found.published.metrics_dropped == 1


@pytest.mark.parametrize("message", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_message_that_is_not_ours_is_not_believed_and_not_repeated(message: str) -> None:
    found = outcome(complete(), sidecar(message))

    assert found is not None
    assert (found.ending, found.reason, found.published) == ("Failed", "BadTerminationMessage", None)
    assert found.message.isprintable()
    assert "fraud" not in found.message


def test_metrics_are_made_legible_and_the_model_is_kept() -> None:
    bad = {"a\u001b[2J": "0.9", "b": "line\nline", "c": "\u202e0.9", "d": "\ud800"}
    found = outcome(complete(), sidecar(published(metrics={"auc": "0.9", **bad})))

    assert found is not None
    assert found.published is not None
    assert found.published.metrics == {"auc": "0.9", "a [2J": "0.9", "b": "line line", "c": " 0.9", "d": " "}


def test_words_that_contradict_the_exit_code_are_left_out() -> None:
    found = outcome(failed(), pod("Failed", ended("fetch", 65, message=failure("BucketNotFound", "believe me"))))

    assert found is not None
    assert found.reason == "ArtifactAccessDenied"
    assert "believe me" not in found.message


def test_the_end_of_the_log_is_told_without_what_a_terminal_would_obey() -> None:
    log = "line\n" * 400 + "\x1b[31mValueError:\x1b[0m no column \x07'age'\u202e\n"
    found = outcome(failed(), code(3, message=log))

    assert found is not None
    assert "exit code 3" in found.message
    assert "ValueError: no column 'age'" in found.message
    assert found.message.isprintable()
    assert len(found.message) < 600


def test_nothing_is_said_of_an_attempt_that_goes_on() -> None:
    assert outcome(job(), pod("Running", running("train"))) is None
    assert outcome(job(condition("Suspended")), None) is None
    assert outcome(job(condition("FailureTarget", reason="BackoffLimitExceeded")), code(1)) is None


def test_the_pods_last_word_is_waited_for_and_then_given_up() -> None:
    still = pod("Running", running("agent"), running("train"))

    for pod_seen in (still, None):
        assert outcome(complete(), pod_seen, after=COMPLETE_GRACE_SECONDS - 1) is None
        assert outcome(failed(), pod_seen, after=FAILED_GRACE_SECONDS - 1) is None
        given_up = outcome(complete(), pod_seen, after=COMPLETE_GRACE_SECONDS)
        assert given_up is not None
        assert (given_up.ending, given_up.reason) == ("Disrupted", "PodLost")
        lost = outcome(failed(), pod_seen, after=FAILED_GRACE_SECONDS)
        assert lost is not None
        assert (lost.ending, lost.reason) == ("Disrupted", "PodLost")


def test_without_an_output_a_complete_job_is_enough() -> None:
    assert outcome(complete(), pod("Succeeded", ended("train")), SILENT) == AttemptOutcome(
        "Succeeded", "RunSucceeded", ""
    )
    assert outcome(complete(), None, SILENT) is None
    assert outcome(complete(), None, SILENT, after=COMPLETE_GRACE_SECONDS) == AttemptOutcome(
        "Succeeded", "RunSucceeded", ""
    )


def test_a_failed_condition_without_a_time_is_not_waited_for() -> None:
    found = outcome(
        OwnedJob.model_validate(
            {"metadata": {"name": "j"}, "status": {"conditions": [{"type": "Failed", "status": "True"}]}}
        ),
        None,
    )

    assert found is not None
    assert found.reason == "PodLost"


@pytest.mark.parametrize("output", ["s3://models/churn/", "s3://models/churn", "s3://models"])
def test_a_version_lies_under_the_output_by_its_digest(output: str) -> None:
    assert version_uri(output, DIGEST) == f"{output.rstrip('/')}/versions/abababababab/"
