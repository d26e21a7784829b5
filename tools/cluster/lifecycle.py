"""Bringing a cluster up, taking it down, and telling which of the two it is."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

from tools.cluster import addons, cgroups, config, gobuild, host, inside, kwok, load, network, paths, pins, plan, processes
from tools.cluster.errors import ClusterError, tail
from tools.cluster.kube import Api, ApiError, resolves, wait_for
from tools.cluster.locks import locked
from tools.cluster.ociarchive import program_archive
from tools.cluster.plan import Plan
from tools.cluster.progress import say, step

KEPT_LOGS = 5
START_SECONDS = 180


@dataclass(frozen=True)
class Status:
    """What is left or alive of one cluster; `state` is running, broken or absent."""

    name: str
    state: str
    detail: str
    plan: Plan | None
    ready_nodes: tuple[str, ...] = ()


def api_of(a_plan: Plan) -> Api:
    """An administrator's access."""
    return Api(f"https://{a_plan.network.api}:6443", a_plan.state / "pki")


def status(name: str) -> Status:
    """Looks at processes, the API server and nodes; changes nothing."""
    state = paths.state_dir(name)
    if not state.exists():
        return Status(name, "absent", "no such cluster", None)
    known = plan.load(state)
    if known is None:
        return Status(name, "broken", "its cluster.json is missing or not readable", None)
    if processes.process_one(state) is None:
        return Status(name, "broken", "its process 1 is gone (killed, or the machine was restarted)", known)
    if not (state / "complete").exists():
        return Status(name, "broken", "it was never completed", known)
    try:
        ready = api_of(known).ready_nodes()
    except ApiError as error:
        return Status(name, "broken", f"its API server does not answer: {error}", known)
    lacking = {f"node{node}" for node in range(1, known.nodes + 1)} - set(ready)
    if lacking:
        return Status(name, "broken", f"not ready: {', '.join(sorted(lacking))}", known, tuple(ready))
    return Status(name, "running", "healthy", known, tuple(ready))


def names() -> list[str]:
    """All clusters that have a state folder."""
    folder = paths.cache() / "clusters"
    return sorted(entry.name for entry in folder.iterdir() if entry.is_dir()) if folder.exists() else []


def up(name: str, *, nodes: int = 1, kwok_nodes: int = 0, install: bool = True) -> Plan:
    """Brings a cluster up, or finds it up; on any failure or interruption nothing stays behind.

    Args:
        name: of the cluster; several of different names live side by side.
        nodes: nodes with a real kubelet; 0 makes a control plane alone.
        kwok_nodes: nodes that only pretend, for tests of scale.
        install: may install missing Debian packages.

    Raises:
        ClusterError: what is wrong and what to do.
    """
    plan.check_request(name, nodes)
    facts = host.inspect(node=nodes > 0, install=install)
    groups = cgroups.detect() if nodes > 0 else None
    needed = [*pins.CONTROL_PLANE, *(pins.NODE if nodes else ()), *(("kwok",) if kwok_nodes else ())]
    gobuild.build(needed)
    with locked(f"cluster-{name}", waiting=f"somebody else is working on cluster {name}; waiting"):
        found = _reuse(name, nodes)
        if found is None:
            with _interruptible():
                found = _create(name, nodes, facts, groups)
        if kwok_nodes:
            kwok.ensure_nodes(api_of(found), found, kwok_nodes)
    return found


def _reuse(name: str, nodes: int) -> Plan | None:
    now = status(name)
    if now.state == "absent":
        return None
    if now.state == "running" and now.plan is not None:
        if now.plan.nodes != nodes or now.plan.kubernetes != pins.KUBERNETES:
            raise ClusterError(
                f"cluster {name} is up with {now.plan.nodes} nodes and Kubernetes {now.plan.kubernetes}, "
                f"not {nodes} and {pins.KUBERNETES}",
                fix=f"`python3 -m tools.cluster down --name {name}` first, or take another name",
            )
        say(f"cluster {name} is up already")
        return now.plan
    say(f"cluster {name}: {now.detail}; removing what is left and starting anew")
    _remove(name)
    return None


def _create(name: str, nodes: int, facts: host.Host, groups: cgroups.Cgroups | None) -> Plan:
    started = time.monotonic()
    host.warn_little_memory()
    try:
        with step(f"cluster {name}: certificates and configuration"):
            made = _reserve(name, nodes, facts)
            config.write_all(made)
            for node in range(1, nodes + 1):
                cgroups.make(groups or cgroups.detect(), made.cgroup(node))
        _launch(made)
        _complete(made)
    except BaseException:
        say(f"cluster {name}: not completed; removing it")
        _remove(name)
        raise
    say(f"cluster {name} is up after {time.monotonic() - started:.0f} s")
    return made


def _reserve(name: str, nodes: int, facts: host.Host) -> Plan:
    """Takes a free slot: the state folder with its cluster.json is the reservation."""
    with locked("slots"):
        used = {known.slot for other in names() if (known := plan.load(paths.state_dir(other))) is not None}
        routes = subprocess.run(
            ["ip", "-4", "route", "show", "table", "all"],
            capture_output=True, text=True, check=True, env=host.environment(),
        ).stdout  # fmt: skip
        slot = network.pick(used, network.parse_routes(routes)).slot
        made = Plan(
            name=name,
            slot=slot,
            nodes=nodes,
            kubernetes=pins.KUBERNETES,
            cni_dir=facts.cni_dir,
            can_lower_oom_score=facts.can_lower_oom_score,
            overlay=host.has_overlay(paths.cache()),
        )
        (made.state / "log").mkdir(parents=True)
        made.state.chmod(0o700)
        made.save()
        return made


def _launch(made: Plan) -> None:
    state = made.state
    command = ["unshare", "--net", "--mount", "--propagation", "slave", "--pid", "--fork", "--kill-child",
               "--mount-proc", sys.executable, "-m", processes.MODULE, str(state)]  # fmt: skip
    env = {**host.environment(), "PYTHONDONTWRITEBYTECODE": "1"}
    with step(f"cluster {made.name}: Kubernetes {made.kubernetes}"):
        with (state / "log" / "init.log").open("ab") as log:
            outer = subprocess.Popen(
                command, cwd=paths.REPOSITORY, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        _wait_stage(made, outer, {"network"}, 30)
        pid = processes.process_one(state)
        if pid is None:
            raise ClusterError("process 1 is gone", where=str(state / "log" / "init.log"))
        _link(made, pid)
        _wait_stage(made, outer, {"started"}, START_SECONDS)


def _wait_stage(made: Plan, outer: subprocess.Popen[bytes], wanted: set[str], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    stage = made.state / "stage"
    while True:
        now = stage.read_text() if stage.exists() else ""
        if now in wanted:
            return
        if now.startswith("failed: ") or outer.poll() is not None:
            raise ClusterError(_failure(made, now.removeprefix("failed: ")), where=str(paths.logs_dir(made.name)))
        if time.monotonic() > deadline:
            raise ClusterError(_failure(made, f"stuck at {now or 'the very start'} for {seconds:.0f} s"),
                               where=str(paths.logs_dir(made.name)))  # fmt: skip
        time.sleep(0.05)


def _failure(made: Plan, reason: str) -> str:
    logs = made.state / "log"
    program = reason.split(" ", 1)[0]
    log = logs / f"{program}.log" if (logs / f"{program}.log").exists() else logs / "init.log"
    end = tail(log.read_text(errors="replace")) if log.exists() else ""
    return f"cluster {made.name} did not start: {reason or 'its process 1 ended'}\n{end}"


def _link(made: Plan, pid: int) -> None:
    net = made.network
    try:
        inside.ip("link", "add", net.link, "type", "veth", "peer", "name", "eth0", "netns", str(pid))
        inside.ip("addr", "add", f"{net.host}/30", "dev", net.link)
        inside.ip("link", "set", net.link, "up")
        for destination in net.ranges:
            inside.ip("route", "add", str(destination), "via", str(net.api))
    except subprocess.CalledProcessError as error:
        raise ClusterError(
            f"cannot make the network link: {error.stderr.strip()}",
            where=" ".join(error.cmd),
            fix="the kernel needs veth (`modprobe veth`); see `ip route` for what may be in the way",
        ) from error


def _complete(made: Plan) -> None:
    """Images, add-ons, and the proof that all of it answers."""
    api = api_of(made)

    def alive() -> bool:
        return processes.process_one(made.state) is not None

    logs = paths.logs_dir(made.name)
    if not made.control_plane_only:
        with step(f"cluster {made.name}: nodes, names and metrics"):
            for program in ("pause", "coredns", "metrics-server"):
                load.load(made, program_archive(program))
            addons.apply_all(api, made)
            wanted = {f"node{node}" for node in range(1, made.nodes + 1)}
            wait_for(lambda: wanted <= set(_ready(api)), "a ready node", 90, alive=alive, logs=logs)
            dns = str(made.network.dns)
            name = "kubernetes.default.svc.cluster.local"
            wait_for(lambda: resolves(dns, name), "the cluster's DNS", 90, alive=alive, logs=logs)
            figures = f"/apis/{addons.METRICS}/v1beta1/nodes"
            wait_for(lambda: api.succeeds(figures), "the metrics API", 120, alive=alive, logs=logs)
    # Pods are refused until the default service account exists.
    account = "/api/v1/namespaces/default/serviceaccounts/default"
    wait_for(lambda: api.succeeds(account), "the default service account", 60, alive=alive, logs=logs)
    (made.state / "complete").touch()


def _ready(api: Api) -> list[str]:
    try:
        return api.ready_nodes()
    except ApiError:
        return []


def down(name: str) -> bool:
    """Removes a cluster or what is left of one; returns whether there was anything.

    Raises:
        ClusterError: not root, or something cannot be removed.
    """
    plan.check_request(name, 0)
    host.check_root()
    with locked(f"cluster-{name}", waiting=f"somebody else is working on cluster {name}; waiting"):
        existed = paths.state_dir(name).exists()
        return _remove(name) or existed


def _remove(name: str) -> bool:
    """Ends the processes first: mounts, links, routes and firewall tables end with their namespaces."""
    state = paths.state_dir(name)
    known = plan.load(state)
    ended = processes.end(state)
    groups = cgroups.detect_or_none()
    if groups is not None:
        cgroups.remove(groups, f"/perennial/{name}")
    if known is not None:
        _unlink(known.network.link)
    if state.exists():
        _keep_logs(name, state)
        shutil.rmtree(state)
    return ended


def _unlink(link: str) -> None:
    """Routes go with it. The kernel would clear it as well, seconds after the last process of its namespace."""
    if Path("/sys/class/net", link).exists():
        with contextlib.suppress(subprocess.CalledProcessError):
            inside.ip("link", "del", link)


def _keep_logs(name: str, state: Path) -> None:
    logs = state / "log"
    if not logs.exists() or not any(logs.iterdir()):
        return
    kept = paths.logs_dir(name)
    kept.mkdir(parents=True, exist_ok=True)
    target = kept / datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%f")
    shutil.move(logs, target)
    for old in sorted(entry for entry in kept.iterdir() if entry.is_dir())[:-KEPT_LOGS]:
        shutil.rmtree(old)


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """SIGTERM and SIGHUP become what Ctrl-C is, so that both clean up; a second one does not cut the cleaning short."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    previous = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)}
    try:
        for number in previous:
            signal.signal(number, interrupt)
    except ValueError:
        # Not the main thread: the caller's own handling of signals stays.
        previous = {}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
