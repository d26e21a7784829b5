"""What Kubernetes and people do to the simulated cluster: the named steps of a scenario."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from perennial.training.job.plan import read_plan
from tests.support.builders import DIGEST, NOW, condition, ended, retraining_monitor, running, waiting
from tests.unit.training.simulation import Cluster

Step = Callable[[Cluster], None]


def _with_busy(act: Callable[[Cluster, str], None]) -> Step:
    def step(cluster: Cluster) -> None:
        for name in cluster.busy():
            act(cluster, name)

    return step


def _fail(cluster: Cluster, name: str, code: int = 1, **more: Any) -> None:
    cluster.run_pod(name, "Failed", ended("fetch"), ended("agent"), ended("train", code), **more)
    cluster.end_job(name, "Failed", reason="BackoffLimitExceeded")


def _disrupt(cluster: Cluster, name: str) -> None:
    _fail(cluster, name, 143, conditions=[condition("DisruptionTarget", reason="PreemptionByScheduler")])


def _fetch_denied(cluster: Cluster, name: str) -> None:
    cluster.run_pod(name, "Failed", ended("fetch", 65), waiting("train", "PodInitializing"))
    cluster.end_job(name, "Failed", reason="BackoffLimitExceeded")


def _publish_breaks(cluster: Cluster, name: str) -> None:
    cluster.run_pod(name, "Succeeded", ended("fetch"), ended("agent", 74), ended("train"))
    cluster.end_job(name, "Complete")


def _lose_pod(cluster: Cluster, name: str) -> None:
    cluster.lose_pod(name)
    cluster.end_job(name, "Failed", reason="BackoffLimitExceeded")


def _wipe(cluster: Cluster) -> None:
    cluster.change(status={"observedGeneration": -1})
    remembered = [read_plan(job["metadata"]["annotations"]["perennial.dev/plan"]) for job in cluster.jobs.values()]
    names = {plan.run.name for plan in remembered if plan is not None}
    cluster.hashes = {name: known for name, known in cluster.hashes.items() if name in names}


def _tamper(**fields: Any) -> Step:
    def step(cluster: Cluster) -> None:
        status = cluster.resource.get("status", {})
        current = status.get("currentRun")
        if current:
            cluster.change(status={**status, "currentRun": {**current, **fields}})

    return step


def _drift(cluster: Cluster, *, stale: bool = False) -> None:
    present = cluster.resource.get("status", {}).get("artifact", {}).get("digest")
    request = {
        "verdict": f"watch-{cluster.store.version}-{cluster.made}",
        "time": NOW,
        "digest": DIGEST if stale else present or DIGEST,
    }
    cluster.store.put(retraining_monitor({"retrain": request}))


def _edit(**spec: Any) -> Step:
    return lambda cluster: cluster.change(spec=spec)


def _shrink_jobs(cluster: Cluster) -> None:
    for name in cluster.busy():
        cluster.jobs[name]["spec"].update(parallelism=0, backoffLimit=6)
        cluster.lose_pod(name)


def _delete_jobs(cluster: Cluster) -> None:
    for name in list(cluster.jobs):
        cluster.remove_job(name)
    if not cluster.resource.get("status", {}).get("runCount"):
        cluster.hashes = {}  # wiped status, and now no Jobs: nothing in the cluster remembers any run


SWEEP = {"grid": {"depth": ["1", "2", "3"]}, "parallel": 2, "objective": {"metric": "auc"}}


def _forget_sweep(cluster: Cluster) -> None:
    status = cluster.resource.get("status", {})
    if "sweep" in status:
        cluster.change(status={key: value for key, value in status.items() if key != "sweep"})


STEPS: dict[str, Step] = {
    "pod starts": _with_busy(lambda c, name: c.run_pod(name, "Running", running("agent"), running("train"))),
    "pod pulls": _with_busy(lambda c, name: c.run_pod(name, "Pending", waiting("train", "ImagePullBackOff"))),
    "image invalid": _with_busy(lambda c, name: c.run_pod(name, "Pending", waiting("train", "InvalidImageName"))),
    "succeeds": _with_busy(Cluster.succeed),
    "fails": _with_busy(_fail),
    "not found": _with_busy(lambda c, name: _fail(c, name, 127)),
    "disrupted": _with_busy(_disrupt),
    "fetch denied": _with_busy(_fetch_denied),
    "publishing breaks": _with_busy(_publish_breaks),
    "pod lost": _with_busy(_lose_pod),
    "deadline": _with_busy(lambda c, name: c.end_job(name, "Failed", reason="DeadlineExceeded")),
    "jobs deleted by hand": _delete_jobs,
    "jobs edited by hand": _shrink_jobs,
    "four workers": _edit(workers=4),
    "one worker": _edit(workers=1),
    "status wiped": _wipe,
    "current attempt set back": _tamper(attempt=0),
    "current run renamed": _tamper(name="x", job="someone-elses"),
    "current run nonsense": _tamper(number=-4, attempt=10**12),
    "attempt put off": _tamper(attemptTime="2099-01-01T00:00:00Z"),
    "drift": _drift,
    "old drift": lambda cluster: _drift(cluster, stale=True),
    "seed 1": _edit(seed=1),
    "seed 2": _edit(seed=2),
    "replace": _edit(onChange="Replace"),
    "wait": _edit(onChange="Wait"),
    "ignore": _edit(onChange="Ignore"),
    "suspend": _edit(suspend=True),
    "resume": _edit(suspend=False),
    "changed while suspended": _edit(suspend=True, seed=3),
    "remember one": _edit(history={"runs": 1}),
    "no retries": _edit(retry={"limit": 0}),
    "a sweep": _edit(sweep=SWEEP),
    "no sweep": _edit(sweep=None),
    "sweep forgotten": _forget_sweep,
    "a queue": _edit(queue={"name": "team-a"}),
    "no queue": _edit(queue=None),
    "admitted": Cluster.admit,
    "evicted": Cluster.evict,
    "a moment": lambda cluster: cluster.wait(3),
    "an hour": lambda cluster: cluster.wait(3600),
}
