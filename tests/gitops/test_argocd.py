"""A model in Git, synced by a real Argo CD: waves, health, no drift by the operator's hand, self-heal, pruning."""

import asyncio
import json
from datetime import UTC, datetime
from typing import Any

import pytest
import yaml

from perennial.core.kinds import (
    CHILDREN,
    DRIFT_MONITOR,
    MODEL_DEPLOYMENT,
    OPTIONAL,
    POD,
    RESOURCES,
    TRAINING_JOB,
    Kind,
    Raw,
)
from tests.e2e.support.site import Site
from tests.e2e.support.world import STORAGE_FIELD, World, condition
from tests.gitops.support.argocd import APPLICATION, EXAMPLE, ArgoCD, differing, health, health_of, in_sync
from tests.gitops.support.argocd import NAMESPACE as ARGO_CD
from tests.gitops.support.repository import Repository
from tests.support.kube import Kube, eventually

NAMESPACE = "gitops"
MODEL, FAILING = "apps/churn", "apps/failing"
SMALL = {"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"memory": "1Gi"}}
TRAIN = "import time; time.sleep(5); open('/perennial/output/model', 'w').write('made')"
FAIL = "import sys; sys.exit('no such column: age')"
DATA = "age,calls,churned\n" + "".join(f"{20 + row},{row % 7},{row % 2}\n" for row in range(60))


def example(name: str) -> Any:
    """Return a resource of the example, with the storage of the tests."""
    found = yaml.safe_load((EXAMPLE / MODEL / f"{name}.yaml").read_text(encoding="utf-8"))
    if "storage" in found.get("spec", {}):
        found["spec"]["storage"] = dict(STORAGE_FIELD)
    return found


def training(site: Site, code: str) -> Any:
    found = example("trainingjob")
    image = {"image": site.demo.name, "command": ["python3", "-c", code], "resources": SMALL, "retry": {"limit": 0}}
    found["spec"] |= image
    found["spec"]["inputs"][0]["uri"] = "s3://data/gitops/train/"
    found["spec"]["output"]["uri"] = f"s3://models/{NAMESPACE}/{found['metadata']['name']}/"
    return found


def serving(site: Site) -> Any:
    """Return the example's deployment, with Python's own server: it takes less time to start than MLServer."""
    found = example("modeldeployment")
    server = {"image": site.demo.name, "command": ["python3", "-m", "http.server", "8080", "-d", "/mnt/models"]}
    found["spec"] |= {"runtime": {"container": server}, "resources": SMALL}
    found["spec"]["capture"]["uri"] = f"s3://capture/{NAMESPACE}/"
    return found


def layout(site: Site) -> dict[str, Any]:
    """Return the files of the example's model, and of one whose training fails."""
    model = {
        "trainingjob": training(site, TRAIN),
        "modeldeployment": serving(site),
        "driftmonitor": example("driftmonitor"),
    }
    failing = {name: json.loads(json.dumps(item)) for name, item in model.items() if name != "driftmonitor"}
    for item in failing.values():
        item["metadata"]["name"] = "failing"
    failing["trainingjob"]["spec"]["command"][2] = FAIL
    failing["modeldeployment"]["spec"]["model"]["trainingJob"] = "failing"
    files = {f"{MODEL}/{name}.yaml": item for name, item in model.items()}
    files |= {f"{FAILING}/{name}.yaml": item for name, item in failing.items()}
    for folder, names in ((MODEL, model), (FAILING, failing)):
        listed = {**example("kustomization"), "namespace": NAMESPACE, "resources": [f"{name}.yaml" for name in names]}
        files[f"{folder}/kustomization.yaml"] = listed
    return files


@pytest.fixture(scope="module")
def first(site: Site, repository: Repository) -> str:
    """The first commit, whose namespace and data are there."""

    async def prepare() -> None:
        async with Kube.connected(site.kubeconfig) as kube:
            await World(site, kube, NAMESPACE).prepare()

    asyncio.run(prepare())
    site.s3().put_object(Bucket="data", Key="gitops/train/a.csv", Body=DATA.encode())
    return repository.commit(layout(site))


def time_of(value: str) -> datetime:
    return datetime.fromisoformat(value).astimezone(UTC)


async def remaining(kube: Kube) -> list[str]:
    """Return what of ours is in the namespace."""
    found = []
    for kind in (*RESOURCES, *CHILDREN, POD):
        if kind not in OPTIONAL:
            selector = "" if kind in RESOURCES else "perennial.dev/kind"
            found += [f"{kind.kind}/{item['metadata']['name']}" for item in await kube.list(kind, NAMESPACE, selector)]
    return found


async def spec_of(world: World, kind: Kind, name: str = "churn") -> Raw:
    found = await world.kube.get(kind, NAMESPACE, name)
    assert found is not None
    return dict(found["spec"])


async def test_a_later_wave_waits_until_the_model_is_trained(argocd: ArgoCD, world: World, first: str) -> None:
    await argocd.create("churn", MODEL, NAMESPACE)
    seen: set[tuple[str, bool]] = set()

    async def trained() -> bool:
        deployed = await argocd.kube.get(MODEL_DEPLOYMENT, NAMESPACE, "churn") is not None
        its_health = str(health_of(await argocd.status("churn"), "TrainingJob", "churn").get("status", ""))
        seen.add((its_health, deployed))
        return its_health == "Healthy" and deployed

    await eventually(trained, "the model is trained and its deployment applied", 240, 0.2)
    assert ("Progressing", False) in seen
    # Argo CD's own status may lag behind what it does; the times in the cluster do not.
    accepted = condition(await world.status(TRAINING_JOB, "churn"), "Ready")["lastTransitionTime"]
    deployment = await argocd.kube.get(MODEL_DEPLOYMENT, NAMESPACE, "churn")
    assert deployment is not None
    assert time_of(deployment["metadata"]["creationTimestamp"]) >= time_of(accepted)


async def test_the_model_serves_and_everything_is_healthy_and_in_sync(argocd: ArgoCD, world: World, first: str) -> None:
    await argocd.healthy("churn")
    found = await argocd.synced("churn", first)
    healths = {kind.kind: health_of(found, kind.kind, "churn").get("status") for kind in RESOURCES}
    assert healths == {"TrainingJob": "Healthy", "ModelDeployment": "Healthy", "DriftMonitor": "Healthy"}
    assert condition(await world.status(MODEL_DEPLOYMENT, "churn"), "Ready", "True", "Serving")
    assert len(found["history"]) == 1, "it was synced once"


async def test_a_run_asked_for_by_a_person_makes_no_difference(argocd: ArgoCD, world: World, first: str) -> None:
    asked = {"metadata": {"annotations": {"perennial.dev/run-now": "2026-01-01T00:00:00Z by ana"}}}
    await argocd.kube.patch(TRAINING_JOB, NAMESPACE, "churn", asked)
    await world.succeeded("churn", runs=2)
    await argocd.healthy("churn")
    found = await argocd.refresh("churn")
    assert in_sync(found, first), differing(found)
    assert len(found["history"]) == 1, "nothing was synced for that"


async def test_a_field_edited_by_hand_is_put_back(argocd: ArgoCD, world: World, first: str) -> None:
    await world.change(TRAINING_JOB, "churn", retry={"limit": 3})
    await world.change(MODEL_DEPLOYMENT, "churn", capture={"uri": "s3://capture/elsewhere/"})
    await world.change(DRIFT_MONITOR, "churn", schedule="1 1 * * *")

    async def put_back() -> bool:
        return (
            (await spec_of(world, TRAINING_JOB))["retry"]["limit"] == 0
            and (await spec_of(world, MODEL_DEPLOYMENT))["capture"]["uri"] == f"s3://capture/{NAMESPACE}/"
            and (await spec_of(world, DRIFT_MONITOR))["schedule"] == "0 * * * *"
        )

    await eventually(put_back, "the fields are as in Git", 60)
    await argocd.synced("churn", first)
    await argocd.healthy("churn")


async def test_a_failed_run_says_why_and_holds_later_waves(argocd: ArgoCD, first: str) -> None:
    await argocd.create("failing", FAILING, NAMESPACE)
    found = await argocd.until("failing", lambda now: health(now) == "Degraded", "degraded")
    said = health_of(found, "TrainingJob", "failing")
    assert said["status"] == "Degraded"
    assert "no such column: age" in said["message"]
    assert found["operationState"]["phase"] != "Succeeded"
    assert await argocd.kube.get(MODEL_DEPLOYMENT, NAMESPACE, "failing") is None


async def test_a_fix_in_git_lets_the_later_waves_go_on(argocd: ArgoCD, site: Site, first: str) -> None:
    path = f"{FAILING}/trainingjob.yaml"
    mended = argocd.repository.read(path)
    mended["spec"]["command"][2] = TRAIN
    revision = argocd.repository.commit({path: mended})
    # Argo CD tries the failed sync five times before it takes up another commit: some minutes.
    await argocd.synced("failing", revision, 300)
    await argocd.healthy("failing")
    assert await argocd.kube.get(MODEL_DEPLOYMENT, NAMESPACE, "failing") is not None


async def test_a_resource_taken_out_of_git_is_pruned_alone(argocd: ArgoCD, first: str) -> None:
    listed = argocd.repository.read(f"{MODEL}/kustomization.yaml")
    listed["resources"].remove("driftmonitor.yaml")
    files = {f"{MODEL}/driftmonitor.yaml": None, f"{MODEL}/kustomization.yaml": listed}
    await argocd.synced("churn", argocd.repository.commit(files))
    assert await argocd.kube.get(DRIFT_MONITOR, NAMESPACE, "churn") is None
    assert await argocd.kube.get(TRAINING_JOB, NAMESPACE, "churn") is not None
    await argocd.healthy("churn")


async def test_deleting_the_applications_leaves_nothing(argocd: ArgoCD, first: str) -> None:
    assert await remaining(argocd.kube), "there is something to delete"
    for name in ("churn", "failing"):
        await argocd.kube.delete(APPLICATION, ARGO_CD, name)

    async def gone() -> bool:
        there = [await argocd.kube.get(APPLICATION, ARGO_CD, name) for name in ("churn", "failing")]
        return not any(there) and not await remaining(argocd.kube)

    await eventually(gone, "the applications and all that was made of them are gone", 120)
