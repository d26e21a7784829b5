"""The installed chart: hardened pods, few rights, a standby that takes over, and rest when all is done."""

import asyncio
import json
from typing import Any

from perennial.core.kinds import JOB, LEASE, POD, TRAINING_JOB, Raw
from tests.e2e.support.site import RELEASE, SYSTEM, Site
from tests.e2e.support.world import NAMESPACE as NAMESPACE_KIND
from tests.e2e.support.world import World, within
from tests.support.kube import Kube

NAMESPACE = "chart"
WATCHED = (JOB, POD, TRAINING_JOB)
REST = 30.0
NO_OUTPUT: dict[str, Any] = {"output": None, "storage": None}


async def versions(kube: Kube) -> dict[tuple[str, str], str]:
    """Return the resourceVersion of every object in the namespace that is ours."""
    found = [(kind.kind, item["metadata"]) for kind in WATCHED for item in await kube.list(kind, NAMESPACE)]
    return {(kind, meta["name"]): meta["resourceVersion"] for kind, meta in found}


async def holder(kube: Kube) -> str:
    lease = await kube.get(LEASE, SYSTEM, "perennial-operator") or {}
    return str(lease.get("spec", {}).get("holderIdentity") or "")


async def test_the_pods_run_in_a_namespace_that_takes_only_restricted_ones(kube: Kube, site: Site) -> None:
    (system,) = [item for item in await kube.list(NAMESPACE_KIND) if item["metadata"]["name"] == SYSTEM]
    assert system["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    pods = await kube.list(POD, SYSTEM, "app.kubernetes.io/name=perennial")
    assert len([pod for pod in pods if ready(pod)]) == 2


def ready(pod: Raw) -> bool:
    conditions = pod["status"].get("conditions", ())
    return any(item["type"] == "Ready" and item["status"] == "True" for item in conditions)


async def test_the_operators_account_cannot_read_secrets(site: Site) -> None:
    account = f"system:serviceaccount:{SYSTEM}:{RELEASE}"
    for verb, what in (("get", "secrets"), ("list", "secrets"), ("create", "pods/exec"), ("create", "clusterroles")):
        said = site.kubectl("auth", "can-i", verb, what, "-A", "--as", account, check=False)
        assert said.strip().splitlines()[-1] == "no", f"{verb} {what}: {said}"
    assert site.kubectl("auth", "can-i", "create", "jobs", "-A", "--as", account).strip() == "yes"


async def test_the_release_is_known_to_helm_and_its_crds_are_kept(site: Site) -> None:
    (release,) = json.loads(site.helm("list", "-n", SYSTEM, "-o", "json"))
    assert (release["name"], release["status"]) == (RELEASE, "deployed")
    crds = json.loads(site.kubectl("get", "crds", "-o", "json"))["items"]
    ours = [item for item in crds if item["spec"]["group"] == "perennial.dev"]
    assert len(ours) == 3
    assert {item["metadata"]["annotations"]["helm.sh/resource-policy"] for item in ours} == {"keep"}


async def test_a_standby_takes_over_when_the_leader_goes(world: World, kube: Kube) -> None:
    before = await holder(kube)
    pods = {pod["metadata"]["name"] for pod in await kube.list(POD, SYSTEM, "app.kubernetes.io/name=perennial")}
    (leader,) = [name for name in pods if name in before]
    await kube.delete(POD, SYSTEM, leader)

    async def another() -> bool:
        now = await holder(kube)
        return bool(now) and now != before

    await within(another, "another replica holds the Lease", 60)
    await world.train("after-takeover", "pass", **NO_OUTPUT)
    await world.succeeded("after-takeover")


async def test_nothing_is_written_once_all_is_done(world: World, kube: Kube) -> None:
    await world.train("rests", "pass", **NO_OUTPUT)
    await world.succeeded("rests")
    await asyncio.sleep(5)  # the kubelet's last words about the pods
    before = await versions(kube)
    await asyncio.sleep(REST)
    assert await versions(kube) == before
    assert before
