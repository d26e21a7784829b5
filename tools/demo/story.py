"""What happens in the demo, in order. Each step is a call that waits until what it promises is so."""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from perennial.api.driftmonitor.resource import DriftMonitor
from perennial.api.driftmonitor.status import Verdict
from perennial.api.modeldeployment.resource import ModelDeployment
from perennial.api.modeldeployment.revisions import Revision
from perennial.api.trainingjob.resource import TrainingJob
from perennial.core.labels import RUN_NOW_ANNOTATION
from perennial.serving.rollout_reasons import GATE_FAILED
from tools.cluster.errors import ClusterError
from tools.cluster.progress import step
from tools.demo.closing import MODEL, NAMESPACE
from tools.demo.images import Images
from tools.demo.jobs import run_job
from tools.demo.kubectl import Kubectl, Object
from tools.demo.pods import LABELS, namespace
from tools.demo.s3 import ENDPOINT, start_s3
from tools.demo.timeline import Snapshot
from tools.demo.watch import Watch

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "cancer"
RESOURCES = ("trainingjob.yaml", "modeldeployment.yaml", "driftmonitor.yaml")
REQUESTS = 300
CANARY_REQUESTS = 600
"""Half of them reach the candidate: enough for its gates and for a verdict on its inputs."""
LATER = "data/cancer/later.csv"
TRAINED_SECONDS = 480
SERVING_SECONDS = 480
VERDICT_SECONDS = 360


def claim_namespace(kubectl: Kubectl, name: str, *, fresh: bool) -> None:
    """Make a namespace of the demo's own; start over where an earlier demo has left one.

    Raises:
        ClusterError: there is one that the demo did not make; it is left alone.
    """
    found = kubectl.get("namespace", name)
    if found is not None:
        owned = LABELS.items() <= found["metadata"].get("labels", {}).items()
        if not owned:
            raise ClusterError(
                f"namespace {name} exists and was not created by the demo",
                where=kubectl.words(),
                fix="use another cluster (--context), or --cluster embedded or kind; it is left alone",
            )
        if not fresh and found["status"].get("phase") == "Active":
            return
        delete_namespace(kubectl, name)
    kubectl.apply([namespace(name)])


def delete_namespace(kubectl: Kubectl, name: str) -> None:
    """Delete a namespace and wait until it is gone.

    Raises:
        ClusterError: it does not go.
    """
    with step(f"delete namespace {name}"):
        kubectl.run("delete", "namespace", name, "--ignore-not-found", "--timeout=180s", seconds=200)


def prepare(kubectl: Kubectl, images: Images) -> None:
    """Start the S3 server, and upload what the first model is to learn from.

    Raises:
        ClusterError: a pod did not do its work; holds its log.
    """
    claim_namespace(kubectl, NAMESPACE, fresh=True)
    with step("start an S3 server in the cluster and create its buckets"):
        start_s3(kubectl, NAMESPACE, images)
    with step("upload the first cohort: small tumours, as found by screening"):
        upload(kubectl, images, "train", "data/cancer/early.csv")
    with step("upload tumours with confirmed diagnoses, by which new models are judged"):
        upload(kubectl, images, "evaluation", "evaluation/cancer/confirmed.csv")


def examples(images: Images) -> list[Object]:
    """Return the example resources, the training image being the one that was built."""
    objects: list[dict[str, Any]] = [yaml.safe_load((EXAMPLES / name).read_text()) for name in RESOURCES]
    return [with_image(one, images.demo.name) for one in objects]


def with_image(example: Mapping[str, Any], image: str) -> Object:
    """Return the resource with its training image replaced, where it names one."""
    spec = example["spec"]
    return {**example, "spec": {**spec, "image": image}} if "image" in spec else example


def upload(kubectl: Kubectl, images: Images, part: str, place: str) -> None:
    """Upload a part of the data to a bucket and key, in place of what is there.

    Raises:
        ClusterError: the Job failed; holds its log.
    """
    arguments = ["/app/cancer/data.py", part, f"s3://{place}"]
    run_job(kubectl, NAMESPACE, f"upload-{part}", images.demo.name, arguments, env={"S3_ENDPOINT": ENDPOINT})


def ask(watch: Watch, images: Images, part: str, count: int = REQUESTS) -> None:
    """Send requests about one part of the data to the deployment, and tell how they were answered.

    Raises:
        ClusterError: a request was not answered; holds the Job's log.
    """
    deployment = watch.look().deployments[0]
    url = deployment.status.url or ""
    arguments = ["/app/cancer/traffic.py", part, url, MODEL, "--count", str(count)]
    with step(f"send {count} requests about {_COHORT[part]}"):
        logs = run_job(watch.kubectl, NAMESPACE, f"traffic-{part}", images.demo.name, arguments)
    result = json.loads(logs.strip().splitlines()[-1])
    watch.tell(
        f"{result['answered']} of {result['asked']} requests about {_COHORT[part]} were answered, "
        f"{result['accuracy']:.0%} correctly; requests and responses are captured in s3://capture/cancer/"
    )


_COHORT = {"holdout": "the early cohort", "later": "the later cohort", "both": "both cohorts"}


def play(watch: Watch, images: Images) -> None:
    """Play the whole loop once.

    Raises:
        ClusterError: something that should happen did not; says what, and holds what the cluster knows about it.
    """
    watch.kubectl.apply(examples(images), NAMESPACE)
    watch.tell("applied TrainingJob, ModelDeployment and DriftMonitor; from here on the operator does everything")
    watch.until("the first artifact", lambda now: now.jobs[0].status.artifact is not None, TRAINED_SECONDS, lost)
    first = serving(watch.until("the deployment", lambda now: serving(now) is not None, SERVING_SECONDS, lost))
    ask(watch, images, "holdout")
    watch.until("the first verdict", lambda now: judged(now, first, drifted=False), VERDICT_SECONDS, lost)
    watch.tell("the input now drifts: referrals with larger tumours than those in the training data")
    with step("upload the later cohort beside the early one; by a faulty export, every diagnosis is lost"):
        upload(watch.kubectl, images, "unlabelled", LATER)
    ask(watch, images, "later")
    watch.until("a verdict of drift", lambda now: judged(now, first, drifted=True), VERDICT_SECONDS, lost)
    bad = refused(
        watch.until("the gates to refuse the new model", lambda now: refused(now) is not None, SERVING_SECONDS, stalled)
    )
    still = serving(watch.look())
    watch.tell(f"{still.name if still else 'nothing'} serves on: the model from the faulty export took no request")

    with step("replace the faulty file by the correct one, and ask for another run"):
        upload(watch.kubectl, images, "later", LATER)
        now = f"{RUN_NOW_ANNOTATION}={datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
        watch.kubectl.run("annotate", "trainingjob", MODEL, now, "-n", NAMESPACE, "--overwrite")
    watch.until(
        "half of the requests to reach the next model", lambda now: split(now, bad), SERVING_SECONDS, lost_after(bad)
    )
    ask(watch, images, "both", CANARY_REQUESTS)
    watch.until("the retrained model to serve", lambda now: replaced(now, first), SERVING_SECONDS, lost_after(bad))
    second = serving(watch.look())
    watch.until(
        "a verdict on the new model", lambda now: judged(now, second, drifted=False), VERDICT_SECONDS, lost_after(bad)
    )


def serving(now: Snapshot) -> Revision | None:
    """Return the revision that serves and answers, if there is one."""
    status = now.deployments[0].status
    ready = any(condition.type == "Ready" and condition.status == "True" for condition in status.conditions)
    return status.stable if ready and status.url else None


def replaced(now: Snapshot, first: Revision | None) -> bool:
    """Return whether another model serves, and no rollout is under way."""
    revision = serving(now)
    settled = now.deployments[0].status.candidate is None
    return revision is not None and first is not None and revision.digest != first.digest and settled


def judged(now: Snapshot, revision: Revision | None, *, drifted: bool) -> bool:
    """Return whether the newest verdict speaks of this model, and says so."""
    verdict: Verdict | None = now.monitors[0].status.last_verdict
    return (
        verdict is not None
        and revision is not None
        and verdict.digest == revision.digest
        and verdict.drifted == drifted
    )


def refused(now: Snapshot) -> Revision | None:
    """Return the candidate that a gate has refused, if there is one."""
    candidate = now.deployments[0].status.candidate
    return candidate if candidate is not None and candidate.reason == GATE_FAILED else None


def split(now: Snapshot, bad: Revision | None) -> bool:
    """Return whether another candidate than the refused one has reached its share of the requests."""
    candidate = now.deployments[0].status.candidate
    return candidate is not None and candidate.digest != (bad and bad.digest) and bool(candidate.reached_weight)


def stalled(now: Snapshot) -> str | None:
    """Return which resource a person must mend, and why."""
    resources: list[TrainingJob | ModelDeployment | DriftMonitor] = [*now.jobs, *now.deployments, *now.monitors]
    for resource in resources:
        for condition in resource.status.conditions:
            if condition.type == "Stalled" and condition.status == "True":
                return f"{type(resource).__name__} {resource.metadata.name} is stalled: {condition.message}"
    return None


def lost(now: Snapshot) -> str | None:
    """Return why nothing will come any more: a rollout that failed, or a resource that a person must mend."""
    return lost_after(None)(now)


def lost_after(bad: Revision | None) -> Callable[[Snapshot], str | None]:
    """Return the same check for the time after a candidate was refused: its failure is known."""

    def found(now: Snapshot) -> str | None:
        candidate = now.deployments[0].status.candidate if now.deployments else None
        if candidate is not None and candidate.phase == "Failed" and candidate.digest != (bad and bad.digest):
            return f"the rollout of {candidate.name} failed: {candidate.message}"
        return stalled(now)

    return found
