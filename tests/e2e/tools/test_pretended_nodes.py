"""A control plane alone with pretended nodes: what benches and tests of scale stand on."""

import json
import os
import time
from collections.abc import Iterator

import pytest

from tools.cluster import api, kwok, paths, plan, status
from tools.cluster.kube import Api

pytestmark = pytest.mark.exclusive  # it looks at what clusters leave on the machine

NAME = f"e2e-kwok-{os.getpid()}"
JOB = "/apis/batch/v1/namespaces/default/jobs/pretended"
PODS = "/api/v1/namespaces/default/pods?labelSelector=batch.kubernetes.io/job-name=pretended"


@pytest.fixture(scope="module")
def access() -> Iterator[Api]:
    if os.geteuid() != 0:
        pytest.skip("NOT RUN: the embedded cluster needs root")
    try:
        api.up(NAME, control_plane_only=True, kwok_nodes=2)
        made = plan.load(paths.state_dir(NAME))
        assert made is not None
        yield status.api_of(made)
    finally:
        api.down(NAME)


def job() -> dict[str, object]:
    pod = {
        "restartPolicy": "Never",
        "nodeSelector": {kwok.MARK: "fake"},
        "tolerations": [{"key": kwok.MARK, "operator": "Exists"}],
        "initContainers": [{"name": "publish", "image": "none", "restartPolicy": "Always"}],
        "containers": [{"name": "train", "image": "none"}],
    }
    annotations = {"message.kwok.x-k8s.io/publish": '{"said": "all is well"}'}
    template = {"metadata": {"annotations": annotations}, "spec": pod}
    spec = {"completions": 5, "parallelism": 5, "template": template}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "pretended"}, "spec": spec}


def test_a_job_completes_with_the_message_it_was_told_to_leave(access: Api) -> None:
    access.apply(JOB, job())
    deadline = time.monotonic() + 60
    while json.loads(access.call("GET", JOB))["status"].get("succeeded") != 5:
        assert time.monotonic() < deadline, "the Job did not complete"
        time.sleep(0.2)
    for pod in json.loads(access.call("GET", PODS))["items"]:
        (publish,) = pod["status"]["initContainerStatuses"]
        assert publish["state"]["terminated"]["message"] == '{"said": "all is well"}'
        assert pod["spec"]["nodeName"].startswith("kwok-")


def test_more_pretended_nodes_may_come_later(access: Api) -> None:
    api.up(NAME, control_plane_only=True, kwok_nodes=5)
    assert access.ready_nodes() == [kwok.node_name(number) for number in range(5)]
