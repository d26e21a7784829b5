import json
import subprocess
from dataclasses import dataclass, field
from typing import Any

from tools.cluster.errors import ClusterError
from tools.demo.diagnosis import conditions, culprit, report, troubles, warnings
from tools.demo.kubectl import Kubectl

Raw = dict[str, Any]


def pod(name: str, *containers: Raw, **status: Any) -> Raw:
    return {"kind": "Pod", "metadata": {"name": name}, "status": {"containerStatuses": list(containers), **status}}


def container(name: str, *, ready: bool = False, started: bool = False, **state: Any) -> Raw:
    return {"name": name, "ready": ready, "started": started, "state": state}


def ended(name: str, code: int, message: str = "") -> Raw:
    return container(name, terminated={"exitCode": code, "reason": "Error", "message": message})


def event(text: str, time: str, kind: str = "Warning") -> Raw:
    return {
        "metadata": {"name": "e"},
        "type": kind,
        "reason": "Failed",
        "message": text,
        "involvedObject": {"kind": "Pod", "name": "train"},
        "lastTimestamp": time,
    }


CRASHED = pod("cancer-1-0", ended("train", 2, "no CSV files"))
RUNS = pod("s3", container("s3", ready=True, started=True, running={"startedAt": "2026-01-01T00:00:00Z"}))
STALLED = {
    "kind": "TrainingJob",
    "metadata": {"name": "cancer"},
    "status": {
        "conditions": [
            {
                "type": kind,
                "status": value,
                "reason": "SecretMissing",
                "message": "make Secret s3",
                "lastTransitionTime": "2026-01-01T00:00:00Z",
            }
            for kind, value in (("Ready", "False"), ("Stalled", "True"), ("Reconciling", "False"))
        ]
    },
}


@dataclass(frozen=True)
class FakeKubectl(Kubectl):
    """Answers from a table; a kind that is not in it cannot be read."""

    tables: dict[str, list[Raw]] = field(default_factory=dict)

    def get(self, *arguments: str) -> Any:
        if arguments[0] not in self.tables:
            raise ClusterError("the cluster does not answer")
        return {"items": self.tables[arguments[0]]}

    def attempt(
        self, *arguments: str, stdin: str | None = None, seconds: float = 60
    ) -> "subprocess.CompletedProcess[str]":
        text = "" if "--previous" not in arguments else f"log of {arguments[1]} {arguments[3]}\n"
        return subprocess.CompletedProcess([], 0, text, "")


def test_unhappy_conditions_are_told_and_happy_ones_are_not() -> None:
    assert conditions([STALLED]) == [
        "TrainingJob cancer: Ready=False (SecretMissing) make Secret s3",
        "TrainingJob cancer: Stalled=True (SecretMissing) make Secret s3",
    ]
    happy = json.loads(json.dumps(STALLED).replace('"False"', '"True"').replace("Stalled", "Tidy"))
    assert conditions([happy]) == []


def test_containers_that_ended_badly_wait_or_are_not_ready_are_told() -> None:
    waiting = pod("a", container("main", waiting={"reason": "ImagePullBackOff", "message": "no such image"}))
    unready = pod("b", container("server", started=True, running={}))
    found = troubles([RUNS, waiting, unready, CRASHED])
    assert [(item.pod, item.container, item.why) for item in found] == [
        ("a", "main", "waits (ImagePullBackOff): no such image"),
        ("b", "server", "runs, but is not ready"),
        ("cancer-1-0", "train", "ended with exit code 2 (Error): no CSV files"),
    ]
    worst = culprit(found)
    assert worst is not None
    assert worst.pod == "cancer-1-0"


def test_a_container_that_waits_for_its_turn_or_ended_well_is_no_trouble() -> None:
    turn = pod("a", container("main", waiting={"reason": "PodInitializing"}), ended("fetch", 0))
    assert troubles([turn]) == []
    assert culprit([]) is None


def test_a_pod_that_no_node_takes_is_told_in_the_schedulers_words() -> None:
    unschedulable = pod(
        "a", conditions=[{"type": "PodScheduled", "status": "False", "message": "0/1 nodes: Insufficient cpu"}]
    )
    (found,) = troubles([unschedulable])
    assert found.why == "no node takes it: 0/1 nodes: Insufficient cpu"
    assert culprit([found]) is None


def test_a_crash_that_was_restarted_is_still_told() -> None:
    restarted = pod("a", {**container("main", running={}), "lastState": ended("main", 137)["state"]})
    assert [item.why for item in troubles([restarted])] == ["ended with exit code 137 (Error)"]


def test_the_last_warnings_come_in_order_and_each_text_once() -> None:
    events = [event(f"text {number % 8}", f"2026-01-01T00:00:{number:02}Z") for number in range(20)]
    calm = event("all is well", "2026-01-01T00:01:00Z", kind="Normal")
    assert warnings([*reversed(events), calm]) == [f"Pod train: Failed: text {number}" for number in (6, 7, 0, 1, 2, 3)]


def test_a_report_gathers_all_of_it_and_the_log_of_the_worst_container() -> None:
    tables = {
        "pods": [RUNS, CRASHED],
        "trainingjobs,modeldeployments,driftmonitors": [STALLED],
        "events": [event("Back-off", "2026-01-01T00:00:00Z")],
    }
    text = report(FakeKubectl(None, tables=tables), "demo")
    assert text.splitlines() == [
        "  conditions:",
        "    | TrainingJob cancer: Ready=False (SecretMissing) make Secret s3",
        "    | TrainingJob cancer: Stalled=True (SecretMissing) make Secret s3",
        "  pods:",
        "    | cancer-1-0, container train: ended with exit code 2 (Error): no CSV files",
        "  last warnings:",
        "    | Pod train: Failed: Back-off",
        "  log of pod cancer-1-0, container train:",
        "    | log of cancer-1-0 train",
    ]


def test_a_report_does_not_fail_where_the_cluster_does_not_answer() -> None:
    assert "neither a condition, a pod nor a warning" in report(FakeKubectl(None), "demo")
