"""Tells what there is of a cluster; changes nothing."""

from dataclasses import dataclass
from pathlib import Path

from tools.cluster import paths, plan, processes
from tools.cluster.kube import Api, ApiError
from tools.cluster.plan import Plan


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
    wrong = _wrong_on_disk(state)
    if wrong:
        return Status(name, "broken", wrong, known)
    try:
        ready = api_of(known).ready_nodes()
    except ApiError as error:
        return Status(name, "broken", f"its API server does not answer: {error}", known)
    lacking = {f"node{node}" for node in range(1, known.nodes + 1)} - set(ready)
    if lacking:
        return Status(name, "broken", f"not ready: {', '.join(sorted(lacking))}", known, tuple(ready))
    return Status(name, "running", "healthy", known, tuple(ready))


def _wrong_on_disk(state: Path) -> str:
    if processes.process_one(state) is None:
        return "its process 1 is gone (killed, or the machine was restarted)"
    if not (state / "complete").exists():
        return "it is not complete: another `up` is at work, or was killed"
    return ""


def names() -> list[str]:
    """All clusters that have a state folder."""
    folder = paths.cache() / "clusters"
    return sorted(entry.name for entry in folder.iterdir() if entry.is_dir()) if folder.exists() else []
