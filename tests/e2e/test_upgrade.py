"""A release through its life: narrowed to some namespaces, widened again, uninstalled, and installed once more.

Runs last: it takes the operator away from the other tests.
"""

import asyncio
import json
from typing import Any

import pytest
import yaml

from perennial.core.kinds import CONFIG_MAP, DEPLOYMENT, JOB, TRAINING_JOB
from tests.e2e.support.site import KEYS, RELEASE, SYSTEM, Site
from tests.e2e.support.world import World, condition
from tests.support.kube import Kube

pytestmark = pytest.mark.exclusive  # the operator goes away and comes back

NAMESPACE = "upgrade"
ELSEWHERE = "upgrade-elsewhere"
NO_OUTPUT: dict[str, Any] = {"output": None, "storage": None}


@pytest.fixture(scope="module")
def narrow(site: Site) -> str:
    """Let the release work in one namespace alone, which is there before: its Role goes there."""
    site.kubectl("create", "namespace", NAMESPACE)
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s3"}, "stringData": KEYS}
    site.kubectl("apply", "-f", "-", given=secret, namespace=NAMESPACE)
    return site.install(RELEASE, SYSTEM, site.values(watchNamespaces=[NAMESPACE]))


async def test_a_release_for_one_namespace_leaves_the_others_alone(world: World, kube: Kube, narrow: str) -> None:
    elsewhere = await World(world.site, kube, ELSEWHERE).prepare()
    await elsewhere.train("ignored", "pass", **NO_OUTPUT)
    await world.train("watched", "pass", **NO_OUTPUT)

    await world.succeeded("watched")

    assert (await elsewhere.status(TRAINING_JOB, "ignored")).get("phase") is None
    assert await kube.list(JOB, ELSEWHERE) == []
    account = f"system:serviceaccount:{SYSTEM}:{RELEASE}"
    for namespace, answer in ((NAMESPACE, "yes"), (ELSEWHERE, "no")):
        said = world.site.kubectl("auth", "can-i", "create", "jobs", "--as", account, namespace=namespace, check=False)
        assert said.strip().splitlines()[-1] == answer, namespace


async def test_uninstalled_and_installed_again_everything_goes_on(world: World, kube: Kube, narrow: str) -> None:
    _uninstall(world.site)
    assert await kube.get(DEPLOYMENT, SYSTEM, "perennial") is None
    crds = json.loads(world.site.kubectl("get", "crds", "-o", "json"))["items"]
    assert len([item for item in crds if item["spec"]["group"] == "perennial.dev"]) == 3
    before = await kube.get(TRAINING_JOB, NAMESPACE, "watched") or {}
    assert condition(before["status"], "Ready", "True")
    await world.train("meanwhile", "pass", **NO_OUTPUT)

    world.site.install(RELEASE, SYSTEM, world.site.values())

    await world.succeeded("meanwhile")
    elsewhere = World(world.site, kube, ELSEWHERE)
    await elsewhere.succeeded("ignored")
    after = await kube.get(TRAINING_JOB, NAMESPACE, "watched") or {}
    assert after["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]


@pytest.mark.parametrize("program", ["helm3", "helm"])
async def test_upgraded_rolled_back_and_installed_again_nothing_is_lost(
    world: World, kube: Kube, narrow: str, program: str
) -> None:
    """Helm 4 has the release before and after. It takes over what Helm 3 has installed, but not the other way."""
    site = world.site
    before = await kube.get(TRAINING_JOB, NAMESPACE, "watched") or {}
    if program == "helm3":
        _uninstall(site)
    site.install(RELEASE, SYSTEM, site.values(), program=program)
    await world.train(f"first-{program}", "pass", **NO_OUTPUT)
    await world.succeeded(f"first-{program}")
    revision = _revision(site, program)

    site.install(RELEASE, SYSTEM, site.values(logLevel="debug"), program=program)
    assert await _log_level(kube) == "debug"
    await world.train(f"second-{program}", "pass", **NO_OUTPUT)
    site.helm("rollback", RELEASE, revision, "-n", SYSTEM, "--wait", "--timeout", "400s", program=program)
    assert await _log_level(kube) == "info"
    await world.succeeded(f"second-{program}")

    _uninstall(site, program)
    site.install(RELEASE, SYSTEM, site.values(), program=program)
    await world.train(f"third-{program}", "pass", **NO_OUTPUT)
    await world.succeeded(f"third-{program}")
    after = await kube.get(TRAINING_JOB, NAMESPACE, "watched") or {}
    assert after["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]


def _uninstall(site: Site, program: str = "helm") -> None:
    site.helm("uninstall", RELEASE, "-n", SYSTEM, "--wait", "--timeout", "120s", program=program)


def _revision(site: Site, program: str) -> str:
    """Number of the newest revision of the release."""
    said = site.helm("history", RELEASE, "-n", SYSTEM, "-o", "json", program=program)
    return str(json.loads(said)[-1]["revision"])


async def _log_level(kube: Kube) -> str:
    """Level in the settings that the release's ConfigMap holds."""
    found = await kube.list(CONFIG_MAP, SYSTEM, f"app.kubernetes.io/instance={RELEASE}")
    (text,) = (item["data"]["config.yaml"] for item in found if "config.yaml" in item["data"])
    return str(yaml.safe_load(text)["logLevel"])


async def test_metrics_tell_of_the_operators_work(site: Site) -> None:
    text = await asyncio.to_thread(site.metrics)
    assert 'perennial_cache_objects{kind="TrainingJob"}' in text
    assert 'perennial_reconciles_total{kind="TrainingJob",result="done"}' in text
