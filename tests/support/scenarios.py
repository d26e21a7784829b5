"""Whole lives of each resource, as a user and the kubelet play them; the operator does the rest.

Each step waits for what the one before must bring about, so that two runs of a story make the same writes.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from perennial.api.contract.messages import Asked, DriftVerdict, Evaluated, Fetched, Measured, Published
from perennial.api.driftmonitor.status import FeatureScore
from perennial.core.kinds import CRON_JOB, DEPLOYMENT, DRIFT_MONITOR, JOB, MODEL_DEPLOYMENT, TRAINING_JOB
from perennial.core.labels import REVISION_LABEL
from tests.support.builders import OUTPUT, digest
from tests.support.harness import Harness
from tests.support.kube import Raw, eventually
from tests.support.kubelet import ended, now

Act = Callable[[Harness], Awaitable[None]]
JOB_UID_LABEL = "batch.kubernetes.io/controller-uid"


@dataclass(frozen=True)
class Scenario:
    """What is played before writes are counted, and what then."""

    name: str
    prepare: Act
    play: Act


def training_spec(**changes: object) -> Raw:
    """Return the spec of a TrainingJob that publishes."""
    return {"image": "train:1", "command": ["train"], "output": {"uri": OUTPUT}, **changes}


def serving_spec(letter: str = "a", **changes: object) -> Raw:
    """Return the spec of a ModelDeployment that serves one version."""
    return {
        "model": {"uri": f"{OUTPUT}versions/{letter * 12}/", "digest": digest(letter)},
        "runtime": {"name": "test-server"},
        "replicas": {"min": 1, "max": 2},
        "rollout": {"keepPrevious": "1s"},
        "capture": {"uri": "s3://capture/churn/"},
        **changes,
    }


def monitor_spec(**changes: object) -> Raw:
    """Return the spec of a DriftMonitor whose schedule never comes."""
    return {
        "target": {"modelDeployment": "churn"},
        "schedule": "0 0 1 1 *",
        "reference": {"uri": "s3://data/churn/train/"},
        "onDrift": {"retrain": {"trainingJob": "churn", "cooldown": "1h", "after": 1}},
        **changes,
    }


def published(letter: str) -> Published:
    """Return what the agent says of a version."""
    return Published(
        uri=f"{OUTPUT}versions/{letter * 12}/",
        digest=digest(letter),
        files=2,
        bytes=1000,
        metrics={"auc": "0.93"},
        time="2026-01-31T12:00:00Z",
    )


def verdict(*, drifted: bool = True) -> DriftVerdict:
    """Return what the agent says of a comparison."""
    score = FeatureScore(name="age", method="psi", score="0.4", threshold="0.2", drifted=drifted)
    return DriftVerdict(
        drifted=drifted,
        drifted_features=int(drifted),
        compared_features=1,
        reference_rows=1000,
        current_rows=1000,
        features=(score,),
        time="2026-01-31T12:00:00Z",
    )


def evaluated() -> Evaluated:
    """Return what the agent says of a model whose accuracy is 0.91."""
    measured = Measured(metric="accuracy", rows=1000, value="0.91", low="0.9", high="0.92", stable="0.9")
    asked = Asked(rows=1000)
    return Evaluated(time="2026-01-31T12:00:00Z", rows=1000, candidate=asked, stable=asked, results=(measured,))


# What the kubelet does.


async def start_training(harness: Harness, job: str) -> Raw:
    """Let the pod of an attempt run. Job and pod are told by uid: another Job may have had the name before."""

    async def check() -> str | None:
        found = await harness.kube.get(JOB, harness.namespace, job)
        references = found["metadata"].get("ownerReferences", ()) if found is not None else ()
        for owner in (item for item in references if item["kind"] == TRAINING_JOB.kind):
            resource = await harness.kube.get(TRAINING_JOB, harness.namespace, owner["name"])
            if found is not None and resource is not None and resource["metadata"]["uid"] == owner["uid"]:
                return str(found["metadata"]["uid"])
        return None

    uid = await eventually(check, f"Job {job} of a TrainingJob", 40)
    (pod,) = await harness.until_pods(f"{JOB_UID_LABEL}={uid}")
    return await harness.kubelet.run(pod)


async def end_training(harness: Harness, pod: Raw, letter: str) -> None:
    """Let the pod of an attempt end well, with a version published."""
    init = [ended("fetch", 0, Fetched()), ended("agent", 0, published(letter))]
    await harness.kubelet.set(pod, "Succeeded", [ended("train")], init)


async def fail_training(harness: Harness, pod: Raw, code: int = 1) -> None:
    """Let the code of an attempt fail."""
    init = [ended("fetch", 0, Fetched()), ended("agent", 0)]
    await harness.kubelet.set(pod, "Failed", [ended("train", code, "no data")], init)


async def train(harness: Harness, job: str, letter: str, name: str = "churn") -> None:
    """Play one attempt that succeeds."""
    pod = await start_training(harness, job)
    await end_training(harness, pod, letter)
    await until_artifact(harness, letter, name)


async def until_artifact(harness: Harness, letter: str, name: str = "churn") -> None:
    """Wait until a TrainingJob shows a version, and has no run under way."""

    async def check() -> bool:
        status = (await harness.get(TRAINING_JOB, name)).get("status", {})
        return status.get("artifact", {}).get("digest") == digest(letter) and "currentRun" not in status

    await eventually(check, f"TrainingJob {name} has artifact {letter}", 40)


async def candidate_pods(harness: Harness, letter: str, name: str = "churn") -> list[Raw]:
    """Wait until the candidate is the version, and return its pods."""

    async def check() -> str | None:
        status = (await harness.get(MODEL_DEPLOYMENT, name)).get("status", {})
        found = status.get("candidate") or status.get("stable") or {}
        return found.get("hash") if found.get("digest") == digest(letter) else None

    revision = await eventually(check, f"ModelDeployment {name} rolls out {letter}", 40)
    return await harness.until_pods(f"{REVISION_LABEL}={revision},perennial.dev/name={name}")


async def roll_out(harness: Harness, letter: str, name: str = "churn") -> None:
    """Let the pods of a candidate get ready, and wait until it serves and the old one is gone."""
    for pod in await candidate_pods(harness, letter, name):
        await harness.kubelet.run(pod)
    await serves_alone(harness, letter, name)


async def pass_gate(harness: Harness, gate: str, name: str = "churn") -> None:
    """Let the Job of a gate end with a figure that keeps its limit."""

    async def check() -> Raw | None:
        found = await harness.all(JOB, f"perennial.dev/name={name}")
        return next((job for job in found if job["metadata"]["name"].endswith(f"-{gate}")), None)

    job = await eventually(check, f"the Job of gate {gate}", 40)
    (pod,) = await harness.until_pods(f"{JOB_UID_LABEL}={job['metadata']['uid']}")
    await harness.kubelet.set(pod, "Succeeded", [ended("gate", 0, evaluated())])


async def serves_alone(harness: Harness, letter: str, name: str = "churn") -> None:
    """Wait until a version serves, and all that belongs to another is gone."""

    async def check() -> bool:
        status = (await harness.get(MODEL_DEPLOYMENT, name))["status"]
        serves = status.get("stable", {}).get("digest") == digest(letter)
        deployments = await harness.all(DEPLOYMENT, f"perennial.dev/name={name}")
        return serves and status.get("readyReplicas") == 1 and len(deployments) == 1 and "previous" not in status

    await eventually(check, f"ModelDeployment {name} serves {letter} alone", 40)


async def compare(harness: Harness, job: str, name: str = "churn", *, drifted: bool = True) -> None:
    """Start a comparison as the CronJob would, and let it end with a verdict."""

    async def check() -> Raw | None:
        return await harness.kube.get(CRON_JOB, harness.namespace, name)

    cron = await eventually(check, f"CronJob {name}", 40)
    template = cron["spec"]["jobTemplate"]
    owner = {"apiVersion": "batch/v1", "kind": "CronJob", "name": name, "uid": cron["metadata"]["uid"]}
    made = await harness.create(
        JOB,
        job,
        template["spec"],
        labels=template["metadata"]["labels"],
        ownerReferences=[{**owner, "controller": True}],
    )
    (pod,) = await harness.until_pods(f"{JOB_UID_LABEL}={made['metadata']['uid']}")
    await harness.kubelet.set(pod, "Succeeded", [ended("drift", 0, verdict(drifted=drifted))])


# The stories.


async def nothing(_: Harness) -> None:
    """Prepare nothing."""


async def train_with_a_retry(harness: Harness) -> None:
    """Create a TrainingJob; its first attempt fails, its second one succeeds."""
    await harness.create(TRAINING_JOB, "churn", training_spec(retry={"limit": 1}))
    pod = await start_training(harness, "churn-1-0")
    await harness.until_phase(TRAINING_JOB, "churn", "Running")
    await fail_training(harness, pod)
    pod = await start_training(harness, "churn-1-1")
    await harness.until_phase(TRAINING_JOB, "churn", "Running")
    await end_training(harness, pod, "a")
    await until_artifact(harness, "a")


async def have_trained(harness: Harness) -> None:
    """Have a TrainingJob with a model, and a monitor that names it."""
    await harness.create(TRAINING_JOB, "churn", training_spec())
    await train(harness, "churn-1-0", "a")
    await harness.create(DRIFT_MONITOR, "churn", monitor_spec())
    await harness.until_condition(DRIFT_MONITOR, "churn", "Ready", "TargetNotFound")


async def retrain_after_drift(harness: Harness) -> None:
    """Let the monitor ask, and the TrainingJob train again."""
    request = {"verdict": "churn-1", "time": now(), "digest": digest("a")}
    await harness.kube.patch(DRIFT_MONITOR, harness.namespace, "churn", {"status": {"retrain": request}}, "status")
    pod = await start_training(harness, "churn-2-0")
    await harness.until_condition(TRAINING_JOB, "churn", "Training", "Running")
    await end_training(harness, pod, "b")
    await until_artifact(harness, "b")


async def serve_two_models(harness: Harness) -> None:
    """Serve a first model, and then another one in its place."""
    await harness.create(MODEL_DEPLOYMENT, "churn", serving_spec("a"))
    await roll_out(harness, "a")
    await harness.set_spec(MODEL_DEPLOYMENT, "churn", {"model": serving_spec("b")["model"]})
    await roll_out(harness, "b")


async def have_served(harness: Harness) -> None:
    """Have a model that serves."""
    await harness.create(MODEL_DEPLOYMENT, "churn", serving_spec("a"))
    await roll_out(harness, "a")


async def have_one_pod(harness: Harness) -> None:
    """Have a model that serves by one pod, without an autoscaler, so that a canary of 50 % is one more."""
    await harness.create(MODEL_DEPLOYMENT, "churn", serving_spec("a", replicas={"min": 1, "max": 1}))
    await roll_out(harness, "a")


async def share_requests(harness: Harness) -> None:
    """Roll out a second model as a canary: a Job judges it, it takes half of the requests, and then all of them."""
    data = {"uri": "s3://data/holdout/", "label": "churned"}
    gate = {"name": "quality", "evaluation": {"data": data, "metric": "accuracy", "min": "0.8"}}
    rollout = {"strategy": "Canary", "steps": [{"weight": 50, "hold": "1s"}], "gates": [gate], "keepPrevious": "1s"}
    await harness.set_spec(MODEL_DEPLOYMENT, "churn", {"model": serving_spec("b")["model"], "rollout": rollout})
    for pod in await candidate_pods(harness, "b"):
        await harness.kubelet.run(pod)
    await pass_gate(harness, "quality")
    await serves_alone(harness, "b")


async def watch_and_ask(harness: Harness) -> None:
    """Watch for drift, find it, and ask for training."""
    await harness.create(DRIFT_MONITOR, "churn", monitor_spec())
    await compare(harness, "churn-run")

    async def check() -> bool:
        status = (await harness.get(DRIFT_MONITOR, "churn"))["status"]
        done = (await harness.get(JOB, "churn-run")).get("status", {}).get("succeeded") == 1
        return bool(done and status.get("retrain", {}).get("verdict") == "churn-run")

    await eventually(check, "the Job is done and the DriftMonitor asks for training", 40)


SCENARIOS = (
    Scenario("TrainingJob-retry", nothing, train_with_a_retry),
    Scenario("TrainingJob-drift", have_trained, retrain_after_drift),
    Scenario("ModelDeployment-rollout", nothing, serve_two_models),
    Scenario("ModelDeployment-canary", have_one_pod, share_requests),
    Scenario("DriftMonitor-verdict", have_served, watch_and_ask),
)
