"""One cluster for all end-to-end tests; a failed one shows what its namespace looked like."""

import os
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from tests.e2e.support import site as site_support
from tests.e2e.support.diagnosis import diagnose
from tests.e2e.support.site import Site
from tests.e2e.support.world import World
from tests.support.kube import Kube


@pytest.fixture(scope="session")
def site() -> Iterator[Site]:
    if os.geteuid() != 0:
        pytest.skip("NOT RUN: the embedded cluster needs root")
    keep = os.environ.get("PERENNIAL_KEEP") == "1"
    with site_support.site("e2e" if keep else f"e2e-{os.getpid()}", keep=keep) as found:
        yield found


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
