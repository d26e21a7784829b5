"""What a cluster refuses on the first day, on a real node: each refusal has a condition with the next step.

Wrong endpoints, keys, buckets and too small nodes are in test_bad_input.py.
"""

import asyncio
from typing import Any

import pytest

from perennial.core.kinds import MODEL_DEPLOYMENT, TRAINING_JOB, Kind
from tests.e2e.support.site import Site
from tests.e2e.support.versions import publish, serving
from tests.e2e.support.world import NAMESPACE as NAMESPACE_KIND
from tests.e2e.support.world import World
from tests.support.kube import Kube

NAMESPACE = "first-use"
CLOSED, FULL = "first-use-restricted", "first-use-quota"
QUOTA = Kind("", "v1", "ResourceQuota", "resourcequotas")
NOTHING_STORED: dict[str, Any] = {"output": None, "storage": None}
RESTRICTED = {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}}
FOREIGN_PROGRAM = """
import os, platform, struct
machine = 62 if platform.machine() == "aarch64" else 183
fields = struct.pack("<HHIQQQIHHHHHH", 2, machine, 1, 0, 64, 0, 0, 64, 56, 0, 0, 0, 0)
head = b"\\x7fELF" + bytes([2, 1, 1]) + bytes(9) + fields
open("/perennial/program", "wb").write(head)
os.chmod("/perennial/program", 0o755)
"""
"""Writes the beginning of a program for ARM on x86-64, and the other way round: the kernel reads no further."""


async def _start_all(site: Site) -> None:
    async with Kube.connected(site.kubeconfig) as kube:
        world, closed, full = [await World(site, kube, name).prepare() for name in (NAMESPACE, CLOSED, FULL)]
        await kube.patch(NAMESPACE_KIND, "", CLOSED, RESTRICTED)
        await kube.create(QUOTA, FULL, {"metadata": {"name": "small"}, "spec": {"hard": {"pods": "0"}}})
        digest = publish(site, "first-use/model/", {"model": b"the model"})
        spec = serving(site, "s3://models/first-use/model/", digest)
        waiting = {"pods": {"metric": "waiting_requests", "average": "5"}}
        prepare = [{"name": "build", "command": ["python3", "-c", FOREIGN_PROGRAM]}]
        root = {"security": {"runAsNonRoot": False}}
        await asyncio.gather(
            world.train("other-cpu", None, command=["/perennial/program"], prepare=prepare, **NOTHING_STORED),
            world.serve("no-adapter", **spec, replicas={"min": 1, "max": 2}, autoscaling=[waiting]),
            closed.train("as-root", "pass", **root, **NOTHING_STORED),
            full.train("over-quota", "pass", **NOTHING_STORED),
            full.serve("over-quota", **spec),
        )


@pytest.fixture(scope="module", autouse=True)
def _started(site: Site) -> None:
    asyncio.run(_start_all(site))


async def test_a_program_for_another_cpu_is_told_apart_from_a_fault_of_the_code(world: World) -> None:
    said = await world.condition(TRAINING_JOB, "other-cpu", "Stalled", "WrongArchitecture")

    assert "kubernetes.io/arch" in said


async def test_a_metric_that_nothing_serves_is_said_and_the_model_serves_on(world: World) -> None:
    said = await world.condition(
        MODEL_DEPLOYMENT, "no-adapter", "Autoscaling", "MetricsUnavailable", status="False", seconds=240
    )

    assert "install an adapter that serves custom.metrics.k8s.io" in said
    await world.condition(MODEL_DEPLOYMENT, "no-adapter", "Ready", "Serving")


@pytest.mark.parametrize(("namespace", "name"), [(CLOSED, "as-root"), (FULL, "over-quota")])
async def test_a_run_whose_pods_are_refused_says_where_the_cause_stands(
    kube: Kube, site: Site, namespace: str, name: str
) -> None:
    said = await World(site, kube, namespace).condition(TRAINING_JOB, name, "Reconciling", "PodNotCreated")

    assert f"see kubectl describe job {name}-1-0" in said


async def test_a_model_whose_pods_are_refused_names_the_quota(kube: Kube, site: Site) -> None:
    said = await World(site, kube, FULL).condition(MODEL_DEPLOYMENT, "over-quota", "Reconciling", "PodsRefused")

    assert "exceeded quota: small" in said
