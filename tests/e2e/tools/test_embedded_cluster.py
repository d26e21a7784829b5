"""The embedded cluster on this machine: side by side, killed without warning, interrupted, gone without a trace."""

import functools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest

from tools.cluster import api, cgroups, kube, paths, plan, processes, status
from tools.cluster.plan import Plan

pytestmark = pytest.mark.exclusive  # it looks at what clusters leave on the machine

FIRST, SECOND, THIRD = (f"e2e-{letter}-{os.getpid()}" for letter in "abc")
POD = "/api/v1/namespaces/default/pods/sleeper"
SERVICE = "/api/v1/namespaces/default/services/sleeper"


@pytest.fixture(scope="module", autouse=True)
def _root() -> None:
    if os.geteuid() != 0:
        pytest.skip("NOT RUN: the embedded cluster needs root")


@pytest.fixture(scope="module")
def pair() -> Iterator[tuple[Plan, Plan]]:
    try:
        for name in (FIRST, SECOND):
            api.up(name)
        yield known(FIRST), known(SECOND)
    finally:
        for name in (FIRST, SECOND):
            api.down(name)


def known(name: str) -> Plan:
    found = plan.load(paths.state_dir(name))
    assert found is not None
    return found


def within(seconds: float, condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if condition():
                return True
        except kube.ApiError:
            pass
        time.sleep(0.2)
    return False


def get(access: kube.Api, path: str) -> Any:
    return json.loads(access.call("GET", path))


def traces(made: Plan) -> list[str]:
    """Whatever of a cluster can be seen on the host."""
    mounts = [line for line in Path("/proc/mounts").read_text().splitlines() if str(made.state) in line]
    routes = subprocess.run(["ip", "route"], capture_output=True, text=True, check=True).stdout.splitlines()
    links = [made.network.link] if Path("/sys/class/net", made.network.link).exists() else []
    groups = [str(path) for path in cgroups.leftovers(cgroups.detect(), f"/perennial/{made.name}")]
    found = [str(pid) for pid in processes.find(made.state)]
    return [*mounts, *(route for route in routes if made.network.link in route), *links, *groups, *found]


def run_sleeper(made: Plan) -> None:
    image, archive = api.program_image("pause")
    assert api.load_image(made.name, archive) == [image]
    access = status.api_of(made)
    labels = {"app": made.name}
    container = {"name": "sleeper", "image": image, "imagePullPolicy": "Never"}
    pod = {"metadata": {"name": "sleeper", "labels": labels}, "spec": {"containers": [container]}}
    access.apply(POD, {"apiVersion": "v1", "kind": "Pod", **pod})
    service = {"metadata": {"name": "sleeper"}, "spec": {"selector": labels, "ports": [{"port": 80}]}}
    access.apply(SERVICE, {"apiVersion": "v1", "kind": "Service", **service})


def sleeper_is_well(made: Plan) -> bool:
    state = get(status.api_of(made), POD)["status"]
    inside = state["phase"] == "Running" and IPv4Address(state["podIP"]) in made.network.pods_of(1)
    return inside and kube.resolves(str(made.network.dns), "sleeper.default.svc.cluster.local")


def test_two_live_side_by_side_and_each_runs_its_own(pair: tuple[Plan, Plan]) -> None:
    assert pair[0].slot != pair[1].slot
    for made in pair:
        run_sleeper(made)
    for made in pair:
        assert within(60, functools.partial(sleeper_is_well, made))
        assert not kube.resolves(str(made.network.dns), "nowhere.default.svc.cluster.local")


def test_the_metrics_api_has_figures(pair: tuple[Plan, Plan]) -> None:
    access = status.api_of(pair[0])
    assert within(90, lambda: bool(get(access, "/apis/metrics.k8s.io/v1beta1/nodes")["items"]))


def test_a_second_up_finds_it_up(pair: tuple[Plan, Plan]) -> None:
    before = processes.process_one(pair[0].state)
    api.up(FIRST)
    assert processes.process_one(pair[0].state) == before


def test_other_nodes_than_before_are_refused(pair: tuple[Plan, Plan]) -> None:
    with pytest.raises(api.ClusterError, match="is up with 1 nodes"):
        api.up(FIRST, nodes=2)


def test_killing_process_one_ends_everything_and_spares_the_other(pair: tuple[Plan, Plan]) -> None:
    first, _ = pair
    pid = processes.process_one(first.state)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    assert within(10, lambda: not processes.find(first.state))
    assert status.status(FIRST).state == "broken"
    assert status.status(SECOND).state == "running"
    api.up(FIRST)
    assert status.status(FIRST).state == "running"


def test_down_leaves_no_trace_but_logs(pair: tuple[Plan, Plan]) -> None:
    for made in pair:
        assert traces(made)
        assert api.down(made.name)
        assert traces(made) == []
        assert not made.state.exists()
        assert list(paths.logs_dir(made.name).glob("*/kubelet.log"))
    assert not api.down(FIRST)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_start_leaves_no_trace(number: signal.Signals) -> None:
    command = [sys.executable, "-m", "tools.cluster", "up", "--name", THIRD]
    starting = subprocess.Popen(command, cwd=paths.REPOSITORY, stderr=subprocess.PIPE, text=True)
    state = paths.state_dir(THIRD)
    assert within(60, lambda: processes.process_one(state) is not None)
    made = known(THIRD)
    starting.send_signal(number)
    _, said = starting.communicate(timeout=60)
    assert starting.returncode == 130
    assert "interrupted; nothing is left behind" in said
    assert traces(made) == []
    assert not state.exists()


def test_what_a_killed_start_leaves_is_removed() -> None:
    command = [sys.executable, "-m", "tools.cluster", "up", "--name", THIRD, "--control-plane-only"]
    starting = subprocess.Popen(command, cwd=paths.REPOSITORY, stderr=subprocess.DEVNULL)
    state = paths.state_dir(THIRD)
    assert within(60, lambda: processes.process_one(state) is not None)
    starting.kill()
    starting.wait()
    made = known(THIRD)
    assert api.down(THIRD)
    assert traces(made) == []
