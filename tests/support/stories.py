"""Whole lives of each resource, as a user and the kubelet play them; the operator does the rest.

Each step waits for what the one before must bring about, so that two runs of a story make the same writes.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from perennial.api.messages import DriftVerdict, Fetched, Published
from perennial.api.monitorstatus import FeatureScore
from perennial.core.kinds import CRON_JOB, DEPLOYMENT, DRIFT_MONITOR, JOB, MODEL_DEPLOYMENT, TRAINING_JOB
from perennial.core.names import REVISION_LABEL
from tests.support.kube import Raw, eventually
from tests.support.kubelet import ended, now
from tests.support.stage import Stage

Act = Callable[[Stage], Awaitable[None]]
JOB_LABEL = "batch.kubernetes.io/job-name"
OUTPUT = "s3://models/churn/"


@dataclass(frozen=True)
class Story:
    """What is played before writes are counted, and what then."""

    name: str
    prepare: Act
    play: Act


def digest(letter: str) -> str:
    """Return a digest made of one hex digit."""
    return "sha256:" + letter * 64


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


# What the kubelet does.


async def start_training(stage: Stage, job: str) -> Raw:
    """Let the pod of an attempt run, and wait until the TrainingJob says so."""
    (pod,) = await stage.until_pods(f"{JOB_LABEL}={job}")
    return await stage.kubelet.run(pod)


async def end_training(stage: Stage, pod: Raw, letter: str) -> None:
    """Let the pod of an attempt end well, with a version published."""
    init = [ended("fetch", 0, Fetched()), ended("agent", 0, published(letter))]
    await stage.kubelet.set(pod, "Succeeded", [ended("train")], init)


async def fail_training(stage: Stage, pod: Raw, code: int = 1) -> None:
    """Let the code of an attempt fail."""
    init = [ended("fetch", 0, Fetched()), ended("agent", 0)]
    await stage.kubelet.set(pod, "Failed", [ended("train", code, "no data")], init)


async def train(stage: Stage, job: str, letter: str, name: str = "churn") -> None:
    """Play one attempt that succeeds."""
    pod = await start_training(stage, job)
    await end_training(stage, pod, letter)
    await until_artifact(stage, letter, name)


async def until_artifact(stage: Stage, letter: str, name: str = "churn") -> None:
    """Wait until a TrainingJob shows a version, and has no run under way."""

    async def check() -> bool:
        status = (await stage.get(TRAINING_JOB, name)).get("status", {})
        return status.get("artifact", {}).get("digest") == digest(letter) and "currentRun" not in status

    await eventually(check, f"TrainingJob {name} has artifact {letter}", 40)


async def candidate_pods(stage: Stage, letter: str, name: str = "churn") -> list[Raw]:
    """Wait until the candidate is the version, and return its pods."""

    async def check() -> str | None:
        status = (await stage.get(MODEL_DEPLOYMENT, name)).get("status", {})
        found = status.get("candidate") or status.get("stable") or {}
        return found.get("hash") if found.get("digest") == digest(letter) else None

    revision = await eventually(check, f"ModelDeployment {name} rolls out {letter}", 40)
    return await stage.until_pods(f"{REVISION_LABEL}={revision},perennial.dev/name={name}")


async def roll_out(stage: Stage, letter: str, name: str = "churn") -> None:
    """Let the pods of a candidate get ready, and wait until it serves and the old one is gone."""
    for pod in await candidate_pods(stage, letter, name):
        await stage.kubelet.run(pod)

    async def check() -> bool:
        status = (await stage.get(MODEL_DEPLOYMENT, name))["status"]
        serves = status.get("stable", {}).get("digest") == digest(letter)
        deployments = await stage.all(DEPLOYMENT, f"perennial.dev/name={name}")
        return serves and status.get("readyReplicas") == 1 and len(deployments) == 1 and "previous" not in status

    await eventually(check, f"ModelDeployment {name} serves {letter} alone", 40)


async def compare(stage: Stage, job: str, name: str = "churn", *, drifted: bool = True) -> None:
    """Start a comparison as the CronJob would, and let it end with a verdict."""

    async def check() -> Raw | None:
        return await stage.kube.get(CRON_JOB, stage.namespace, name)

    cron = await eventually(check, f"CronJob {name}", 40)
    template = cron["spec"]["jobTemplate"]
    owner = {"apiVersion": "batch/v1", "kind": "CronJob", "name": name, "uid": cron["metadata"]["uid"]}
    await stage.create(
        JOB,
        job,
        template["spec"],
        labels=template["metadata"]["labels"],
        ownerReferences=[{**owner, "controller": True}],
    )
    (pod,) = await stage.until_pods(f"{JOB_LABEL}={job}")
    await stage.kubelet.set(pod, "Succeeded", [ended("drift", 0, verdict(drifted=drifted))])


# The stories.


async def nothing(_: Stage) -> None:
    """Prepare nothing."""


async def train_with_a_retry(stage: Stage) -> None:
    """Create a TrainingJob; its first attempt fails, its second one succeeds."""
    await stage.create(TRAINING_JOB, "churn", training_spec(retry={"limit": 1}))
    pod = await start_training(stage, "churn-1-0")
    await stage.until_phase(TRAINING_JOB, "churn", "Running")
    await fail_training(stage, pod)
    pod = await start_training(stage, "churn-1-1")
    await stage.until_phase(TRAINING_JOB, "churn", "Running")
    await end_training(stage, pod, "a")
    await until_artifact(stage, "a")


async def have_trained(stage: Stage) -> None:
    """Have a TrainingJob with a model, and a monitor that names it."""
    await stage.create(TRAINING_JOB, "churn", training_spec())
    await train(stage, "churn-1-0", "a")
    await stage.create(DRIFT_MONITOR, "churn", monitor_spec())
    await stage.until_condition(DRIFT_MONITOR, "churn", "Ready", "TargetNotFound")


async def retrain_after_drift(stage: Stage) -> None:
    """Let the monitor ask, and the TrainingJob train again."""
    request = {"verdict": "churn-1", "time": now(), "digest": digest("a")}
    await stage.kube.patch(DRIFT_MONITOR, stage.namespace, "churn", {"status": {"retrain": request}}, "status")
    pod = await start_training(stage, "churn-2-0")
    await stage.until_condition(TRAINING_JOB, "churn", "Training", "Running")
    await end_training(stage, pod, "b")
    await until_artifact(stage, "b")


async def serve_two_models(stage: Stage) -> None:
    """Serve a first model, and then another one in its place."""
    await stage.create(MODEL_DEPLOYMENT, "churn", serving_spec("a"))
    await roll_out(stage, "a")
    await stage.set_spec(MODEL_DEPLOYMENT, "churn", {"model": serving_spec("b")["model"]})
    await roll_out(stage, "b")


async def have_served(stage: Stage) -> None:
    """Have a model that serves."""
    await stage.create(MODEL_DEPLOYMENT, "churn", serving_spec("a"))
    await roll_out(stage, "a")


async def watch_and_ask(stage: Stage) -> None:
    """Watch for drift, find it, and ask for training."""
    await stage.create(DRIFT_MONITOR, "churn", monitor_spec())
    await compare(stage, "churn-run")

    async def check() -> bool:
        status = (await stage.get(DRIFT_MONITOR, "churn"))["status"]
        done = (await stage.get(JOB, "churn-run")).get("status", {}).get("succeeded") == 1
        return done and status.get("retrain", {}).get("verdict") == "churn-run"

    await eventually(check, "the Job is done and the DriftMonitor asks for training", 40)


STORIES = (
    Story("TrainingJob-retry", nothing, train_with_a_retry),
    Story("TrainingJob-drift", have_trained, retrain_after_drift),
    Story("ModelDeployment-rollout", nothing, serve_two_models),
    Story("DriftMonitor-verdict", have_served, watch_and_ask),
)
