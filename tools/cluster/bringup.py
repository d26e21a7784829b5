"""Brings a cluster up: checks, programs, addresses, processes, add-ons, and the proof that all of it answers."""

import subprocess
import sys
import time

from tools.cluster import (
    addons,
    cgroups,
    config,
    gobuild,
    host,
    inside,
    kwok,
    load,
    network,
    paths,
    pins,
    plan,
    processes,
    teardown,
)
from tools.cluster.errors import ClusterError, tail
from tools.cluster.interrupt import interruptible
from tools.cluster.kube import Patience, resolves
from tools.cluster.locks import locked
from tools.cluster.ociarchive import program_archive
from tools.cluster.plan import Plan
from tools.cluster.progress import say, step
from tools.cluster.status import api_of, names, status

START_SECONDS = 180
CONTAINER_HINT = "read the logs there; inside a container, that container must be `--privileged`"


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
            with interruptible():
                found = _create(name, nodes, facts, groups)
        if kwok_nodes:
            kwok.ensure_nodes(api_of(found), found, kwok_nodes)
    return found


def _reuse(name: str, nodes: int) -> Plan | None:
    now = status(name)
    if now.state == "absent":
        # Processes may outlive a state folder that somebody deleted by hand.
        processes.end(paths.state_dir(name))
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
    teardown.remove(name)
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
        teardown.remove(name)
        raise
    say(f"cluster {name} is up after {time.monotonic() - started:.0f} s")
    return made


def _reserve(name: str, nodes: int, facts: host.Host) -> Plan:
    """Takes a free slot: the state folder with its cluster.json is the reservation."""
    with locked("slots"):
        try:
            slot = _pick_slot()
        except ClusterError:
            if teardown.remove_dead() == 0:
                raise
            slot = _pick_slot()
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


def _pick_slot() -> int:
    used = {known.slot for other in names() if (known := plan.load(paths.state_dir(other))) is not None}
    command = ["ip", "-4", "route", "show", "table", "all"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=host.environment())
    return network.pick(used, network.parse_routes(done.stdout)).slot


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
        _wait_stage(made, outer, "network", 30)
        pid = processes.process_one(state)
        if pid is None:
            raise ClusterError("process 1 is gone", where=str(state / "log" / "init.log"))
        _link(made, pid)
        _wait_stage(made, outer, "started", START_SECONDS)


def _wait_stage(made: Plan, outer: subprocess.Popen[bytes], wanted: str, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    stage = made.state / "stage"
    while True:
        now = stage.read_text() if stage.exists() else ""
        if now == wanted:
            return
        reason = ""
        if now.startswith("failed: "):
            reason = now.removeprefix("failed: ")
        elif outer.poll() is not None:
            reason = "its process 1 ended"
        elif time.monotonic() > deadline:
            reason = f"stuck at {now or 'the very start'} for {seconds:.0f} s"
        if reason:
            raise ClusterError(_failure(made, reason), where=str(paths.logs_dir(made.name)), fix=CONTAINER_HINT)
        time.sleep(0.05)


def _failure(made: Plan, reason: str) -> str:
    logs = made.state / "log"
    program = reason.split(" ", 1)[0]
    log = logs / f"{program}.log" if (logs / f"{program}.log").exists() else logs / "init.log"
    end = tail(log.read_text(errors="replace")) if log.exists() else ""
    return f"cluster {made.name} did not start: {reason}\n{end}"


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
    wait = Patience(api, lambda: processes.process_one(made.state) is not None, paths.logs_dir(made.name))
    if not made.control_plane_only:
        with step(f"cluster {made.name}: nodes, names and metrics"):
            for program in ("pause", "coredns", "metrics-server"):
                load.load(made, program_archive(program))
            # The namespace kube-system comes a moment after the API server calls itself ready.
            system = f"/api/v1/namespaces/{addons.SYSTEM}"
            wait.until(lambda: api.succeeds(system), "the system namespace", 60)
            addons.apply_all(api, made)
            wanted = {f"node{node}" for node in range(1, made.nodes + 1)}
            wait.until(lambda: wanted <= set(api.ready_nodes()), "a ready node", 90)
            dns = str(made.network.dns)
            name = "kubernetes.default.svc.cluster.local"
            wait.until(lambda: resolves(dns, name), "the cluster's DNS", 90)
            figures = f"/apis/{addons.METRICS}/v1beta1/nodes"
            wait.until(lambda: api.succeeds(figures), "the metrics API", 120)
    # Pods are refused until the default service account exists.
    account = "/api/v1/namespaces/default/serviceaccounts/default"
    wait.until(lambda: api.succeeds(account), "the default service account", 60)
    (made.state / "complete").touch()
