"""Dead, half-made and busy clusters are told apart, and what they leave in control groups is found."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tools.cluster import cgroups, paths, processes, status, teardown
from tools.cluster.cgroups import Cgroups
from tools.cluster.errors import ClusterError
from tools.cluster.locks import locked, try_locked
from tools.cluster.plan import Plan

V1 = (
    "cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,relatime,cpu,cpuacct 0 0\n"
    "cgroup /sys/fs/cgroup/memory cgroup rw,relatime,memory 0 0\n"
    "cgroup2 /sys/fs/cgroup/unified cgroup2 rw,relatime 0 0\n"
)
V2 = "proc /proc proc rw 0 0\ncgroup2 /sys/fs/cgroup cgroup2 rw,nosuid 0 0\n"


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    made = Plan("gone", 99, 1, "1.37.2", "/usr/lib/cni", can_lower_oom_score=True, overlay=True)
    made.state.mkdir(parents=True)
    return made


def test_a_cluster_that_never_was_is_absent(made: Plan) -> None:
    assert status.status("other").state == "absent"


def test_a_folder_without_a_plan_is_broken(made: Plan) -> None:
    assert status.status("gone").state == "broken"
    assert "cluster.json" in status.status("gone").detail


def test_a_plan_without_processes_is_broken(made: Plan) -> None:
    made.save()
    found = status.status("gone")
    assert (found.state, found.plan) == ("broken", made)
    assert "process 1 is gone" in found.detail


def test_process_one_is_known_by_its_arguments() -> None:
    state = Path("/cache/clusters/dev")
    arguments = processes.parse_cmdline(b"python3\0-m\0tools.cluster.init\0/cache/clusters/dev\0")
    assert processes.is_init_of(arguments, state)
    assert not processes.is_init_of(arguments, Path("/cache/clusters/dev2"))
    assert not processes.is_init_of(["vim", "/cache/clusters/dev"], state)


def test_a_process_with_another_root_is_none_of_ours(tmp_path: Path) -> None:
    state = tmp_path / "clusters" / "dev"
    state.mkdir(parents=True)
    for pid, root in (("7", Path("/")), ("8", tmp_path / "jail")):
        (tmp_path / "proc" / pid).mkdir(parents=True)
        (tmp_path / "proc" / pid / "root").symlink_to(root)
        cmdline = "\0".join(["python3", "-m", processes.MODULE, str(state), ""])
        (tmp_path / "proc" / pid / "cmdline").write_text(cmdline)
    jailed = tmp_path / "jail" / state.relative_to("/")
    jailed.mkdir(parents=True)
    assert processes.find(state, tmp_path / "proc") == [7]


def test_inner_pid_is_the_last_one() -> None:
    assert processes.inner_pid("Name:\tpython3\nNSpid:\t4711\t1\n") == 1
    assert processes.inner_pid("Name:\tpython3\n") == 0


def test_an_orphan_is_found_and_ended(tmp_path: Path) -> None:
    state = tmp_path / "clusters" / "orphan"
    code = "import time; print('up', flush=True); time.sleep(600)"
    orphan = subprocess.Popen([sys.executable, "-c", code, "-m", processes.MODULE, str(state)], stdout=subprocess.PIPE)
    assert orphan.stdout is not None
    orphan.stdout.readline()
    # Its parent is this test, so it stays a zombie until waited for: a zombie has no arguments any more.
    assert processes.find(state) == [orphan.pid]
    assert processes.end(state)
    assert orphan.wait() == -9
    orphan.stdout.close()
    assert not processes.end(state)


def test_dead_clusters_are_removed_and_their_logs_kept(made: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroups, "detect_or_none", lambda: None)
    made.save()
    (made.state / "log").mkdir()
    (made.state / "log" / "etcd.log").write_text("last words\n")
    assert teardown.remove_dead() == 1
    assert not made.state.exists()
    (kept,) = paths.logs_dir("gone").iterdir()
    assert (kept / "etcd.log").read_text() == "last words\n"


def test_a_cluster_that_somebody_works_on_is_left_alone(made: Plan) -> None:
    made.save()
    with locked("cluster-gone"):
        assert teardown.remove_dead() == 0
    assert made.state.exists()


def test_only_the_last_logs_are_kept(made: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroups, "detect_or_none", lambda: None)
    for number in range(teardown.KEPT_LOGS + 2):
        (made.state / "log").mkdir(parents=True)
        (made.state / "log" / "number").write_text(str(number))
        made.save()
        teardown.remove("gone")
    kept = sorted(int((entry / "number").read_text()) for entry in paths.logs_dir("gone").iterdir())
    assert kept == [2, 3, 4, 5, 6]


def test_a_lock_is_exclusive_and_released(made: Plan) -> None:
    with try_locked("x") as first, try_locked("x") as second:
        assert (first, second) == (True, False)
    with try_locked("x") as again:
        assert again


def test_version_one_counts_when_it_has_the_controllers() -> None:
    found = cgroups.parse_mounts(V1)
    assert found.version == 1
    assert Path("/sys/fs/cgroup/unified") in found.roots


def test_version_two_is_one_hierarchy() -> None:
    assert cgroups.parse_mounts(V2) == Cgroups(2, (Path("/sys/fs/cgroup"),))


def test_without_control_groups_the_choices_are_named() -> None:
    with pytest.raises(ClusterError) as error:
        cgroups.parse_mounts("proc /proc proc rw 0 0\n")
    assert "--privileged" in error.value.fix


def test_a_version_one_cpuset_is_given_what_its_parent_has(tmp_path: Path) -> None:
    root = tmp_path / "cpuset"
    node = root / "perennial" / "dev" / "node1"
    node.mkdir(parents=True)
    for folder in (root, root / "perennial", root / "perennial" / "dev", node):
        (folder / "cpuset.cpus").write_text("0-1\n" if folder == root else "\n")
    cgroups.make(Cgroups(1, (root,)), "/perennial/dev/node1")
    assert (node / "cpuset.cpus").read_text() == "0-1\n"


def test_version_two_delegates_controllers_all_the_way_down(tmp_path: Path) -> None:
    folders = [tmp_path, tmp_path / "perennial", tmp_path / "perennial" / "dev"]
    folders[-1].mkdir(parents=True)
    for folder in folders:
        (folder / "cgroup.subtree_control").write_text("")
    (tmp_path / "cgroup.controllers").write_text("cpuset cpu io memory pids rdma\n")
    cgroups.make(Cgroups(2, (tmp_path,)), "/perennial/dev")
    for folder in folders:
        assert (folder / "cgroup.subtree_control").read_text() == "+cpuset +cpu +io +memory +pids"


def test_version_two_without_a_memory_controller_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cgroup.controllers").write_text("cpu\n")
    with pytest.raises(ClusterError, match="without memory"):
        cgroups.make(Cgroups(2, (tmp_path,)), "/perennial/dev")


def test_removing_takes_the_tree_and_spares_other_clusters(tmp_path: Path) -> None:
    for path in ("perennial/a/node1/kubepods/burstable", "perennial/b/node1"):
        (tmp_path / path).mkdir(parents=True)
    groups = Cgroups(1, (tmp_path,))
    cgroups.remove(groups, "/perennial/a")
    assert [entry.name for entry in (tmp_path / "perennial").iterdir()] == ["b"]
    cgroups.remove(groups, "/perennial/b")
    assert list(tmp_path.iterdir()) == []


def test_a_group_that_is_still_in_use_is_named(tmp_path: Path) -> None:
    busy = tmp_path / "perennial" / "a"
    busy.mkdir(parents=True)
    (busy / "cgroup.procs").write_text(f"{os.getpid()}\n")
    with pytest.raises(ClusterError) as error:
        cgroups.remove(Cgroups(1, (tmp_path,)), "/perennial/a", seconds=0)
    assert str(os.getpid()) in error.value.where
