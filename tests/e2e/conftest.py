"""One cluster for all end-to-end tests; a failed one shows what its namespace looked like."""

import os
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from tests.e2e.support.diagnosis import diagnose
from tests.e2e.support.site import Site, bring_up
from tests.e2e.support.world import World
from tests.support.kube import Kube
from tools.cluster import api

CLUSTER = "PERENNIAL_E2E_CLUSTER"
"""Names the cluster that all processes of one test run share; whoever sets it takes the cluster away."""


def pytest_configure(config: pytest.Config) -> None:
    """Name the cluster before any worker process starts: workers inherit the environment."""
    if CLUSTER not in os.environ:
        os.environ[CLUSTER] = "e2e" if os.environ.get("PERENNIAL_KEEP") == "1" else f"e2e-{os.getpid()}"
        config.stash[OWNS_CLUSTER] = os.environ.get("PERENNIAL_KEEP") != "1"


OWNS_CLUSTER = pytest.StashKey[bool]()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Take the cluster away, if a test has made it and nobody else wants it."""
    if session.config.stash.get(OWNS_CLUSTER, default=False):
        api.down(os.environ[CLUSTER])


@pytest.fixture(scope="session")
def site() -> Site:
    """The shared cluster: the first process that needs it brings it up, and the others wait for that."""
    if os.geteuid() != 0:
        pytest.skip("NOT RUN: the embedded cluster needs root")
    return bring_up(os.environ[CLUSTER])


@pytest.fixture
async def kube(site: Site) -> AsyncIterator[Kube]:
    async with Kube.connected(site.kubeconfig) as client:
        yield client


@pytest.fixture
async def world(request: pytest.FixtureRequest, site: Site, kube: Kube) -> World:
    """The namespace of the test's module."""
    return await World(site, kube, request.module.NAMESPACE).prepare()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    report: pytest.TestReport = yield  # type: ignore[misc]
    found: Any = getattr(item, "funcargs", {}).get("site")
    if report.failed and isinstance(found, Site):
        namespace = getattr(getattr(item, "module", None), "NAMESPACE", "default")
        report.sections.append((f"namespace {namespace}", diagnose(found, namespace)))
    return report  # type: ignore[return-value]
