"""Progress of an attempt that has not ended, and when it is reported."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from perennial.api.trainingjob.resource import CurrentRun
from perennial.core.times import parse_time
from perennial.training.attempt.phase import Progress, progress_of
from perennial.training.observe import OwnedJob, OwnedPod
from tests.support.builders import NOW, condition, ended, failure, running, waiting
from tests.unit.training.job.test_build import run_of
from tests.unit.training.objects import pod

RUN = run_of()
META = {"name": "churn-1-0", "creationTimestamp": NOW}
JOB = OwnedJob.model_validate({"metadata": META, "status": {"startTime": NOW}})
SCHEDULED = [condition("PodScheduled")]
UNSCHEDULED = [condition("PodScheduled", "False", reason="Unschedulable", message="0/3 nodes are available")]


def told(found: OwnedPod | None, after: float = 0, run: CurrentRun = RUN) -> Progress:
    return progress_of(run, JOB, found, parse_time(NOW) + timedelta(seconds=after))


def pending(*containers: dict[str, Any], **status: Any) -> OwnedPod:
    return pod("Pending", *containers, **{"conditions": SCHEDULED, **status})


STARTING = pending(waiting("fetch", "ContainerCreating"), waiting("train", "PodInitializing"))
LEAVING = pod("Running", running("train"), meta={"deletionTimestamp": NOW})
FETCHING = pending(running("fetch"), waiting("train", "PodInitializing"))
PREPARING = pending(ended("fetch"), running("prepare-features"), waiting("train", "PodInitializing"))
TRAINING = pod("Running", ended("fetch"), running("agent"), running("train"))
PUBLISHING = pod("Running", ended("fetch"), running("agent"), ended("train"))
NO_IMAGE = pending(waiting("train", "ErrImagePull", "not found"))
BACK_OFF = pending(waiting("train", "ImagePullBackOff", 'Back-off pulling image "train:1": ErrImagePull: not found'))
OLDER_BACK_OFF = pending(waiting("train", "ImagePullBackOff", 'Back-off pulling image "train:1"'))
NO_SECRET = pending(waiting("fetch", "CreateContainerConfigError", 'secret "s3" not found'))

ROWS: list[tuple[str, OwnedPod | None, float, str, bool, float | None]] = [
    # what is seen, pod, seconds since then, reason, running, seconds until the next look
    ("no pod yet", None, 0, "Starting", False, 30),
    ("no pod for long", None, 30, "PodNotCreated", False, None),
    ("a pod on its way out", LEAVING, 0, "Starting", False, None),
    ("starting", STARTING, 0, "Starting", False, 120),
    ("starting for long", STARTING, 120, "SlowStart", False, None),
    ("fetching", FETCHING, 0, "Starting", False, 60),
    ("fetching for long", FETCHING, 61, "Fetching", False, None),
    ("in a step", PREPARING, 0, "Starting", False, 60),
    ("in a step for long", PREPARING, 10**4, "Preparing", False, None),
    ("training", TRAINING, 0, "Running", True, None),
    ("training for long", TRAINING, 10**6, "Running", True, None),
    ("publishing", PUBLISHING, 0, "Running", True, 60),
    ("publishing for long", PUBLISHING, 60, "Publishing", True, None),
    ("ended in full", pod("Succeeded", ended("agent"), ended("train")), 600, "Running", True, None),
    ("no node for a moment", pod("Pending", conditions=UNSCHEDULED), 4, "Starting", False, 6),
    ("no node", pod("Pending", conditions=UNSCHEDULED), 10, "Unschedulable", False, None),
    ("no image", NO_IMAGE, 0, "ImagePullFailed", False, 600),
    ("no image, said otherwise", BACK_OFF, 0, "ImagePullFailed", False, 600),
    ("no Secret", NO_SECRET, 0, "ContainerConfigError", False, 60),
    ("no Secret for long", NO_SECRET, 10**6, "ContainerConfigError", False, None),
]  # fmt: skip


@pytest.mark.parametrize(
    ("found", "after", "reason", "runs", "look"), [row[1:] for row in ROWS], ids=[r[0] for r in ROWS]
)
def test_what_lasts_is_told(found: OwnedPod | None, after: float, reason: str, runs: bool, look: float | None) -> None:
    progress = told(found, after)

    assert (progress.reason, progress.running, progress.recheck_after) == (reason, runs, look)
    assert progress.failure is None
    assert progress.waiting == (
        reason in {"PodNotCreated", "SlowStart", "Unschedulable", "ImagePullFailed", "ContainerConfigError"}
    )


def test_a_job_that_a_queue_has_just_released_is_not_accused_of_having_no_pod() -> None:
    released = OwnedJob.model_validate({"metadata": META, "spec": {"suspend": False}})

    found = progress_of(RUN, released, None, parse_time(NOW) + timedelta(hours=2))

    assert (found.reason, found.recheck_after) == ("Starting", 30)


def test_a_secret_that_is_missing_for_a_minute_needs_a_person() -> None:
    assert not told(NO_SECRET, 59).needs_person
    assert told(NO_SECRET, 60).needs_person
    assert told(NO_SECRET, 60).failure is None  # the run goes on once the Secret is there


def test_a_pull_that_fails_is_told_in_the_same_words_whatever_the_kubelet_calls_it() -> None:
    assert told(NO_IMAGE).message == told(BACK_OFF).message
    assert told(NO_IMAGE).message == f"{told(OLDER_BACK_OFF).message}; the registry's answer: not found"


def test_an_image_is_given_up_after_ten_minutes_counted_from_when_it_was_needed() -> None:
    assert told(NO_IMAGE, 599).failure is None
    given_up = told(NO_IMAGE, 600).failure
    assert given_up is not None
    assert (given_up.ending, given_up.reason) == ("Fatal", "ImagePullFailed")
    assert "not found" in given_up.message

    hours_of_fetching = pending(
        ended("fetch"), waiting("train", "ErrImagePull"), meta={"creationTimestamp": "2026-01-31T06:00:00Z"}
    )
    assert told(hours_of_fetching, 10).failure is None


def test_a_name_that_is_none_is_given_up_at_once() -> None:
    given_up = told(pending(waiting("train", "InvalidImageName", "couldn't parse"))).failure

    assert given_up is not None
    assert (given_up.ending, given_up.reason) == ("Fatal", "ImageInvalid")


def crashed(code: int, times: int) -> OwnedPod:
    last = ended("agent", code, message=failure("AgentConfigInvalid", "no such field"))["state"]
    agent = {**waiting("agent", "CrashLoopBackOff"), "lastState": last, "restartCount": times}
    return pending(ended("fetch"), agent, waiting("train", "PodInitializing"))


def test_a_sidecar_that_never_comes_up_does_not_block_the_run_for_ever() -> None:
    at_once = told(crashed(64, 1)).failure
    assert at_once is not None
    assert at_once.reason == "AgentConfigInvalid"
    assert "no such field" in at_once.message

    assert told(crashed(77, 2)).failure is None
    later = told(crashed(77, 3)).failure
    assert later is not None
    assert (later.ending, later.reason) == ("Fatal", "AgentCrashed")


def test_a_repeated_attempt_says_what_it_follows() -> None:
    again = RUN.model_copy(update={"attempt": 1, "last_failure": "the code ended with exit code 3"})

    progress = told(None, run=again)

    assert progress.reason == "Retrying"
    assert progress.message == "retrying run churn-1 (attempt 2); last failure: the code ended with exit code 3"
