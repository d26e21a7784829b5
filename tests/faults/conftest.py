import asyncio
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from tests.support.cluster import control_plane, install_crds
from tests.support.harness import Harness, Stages, staged
from tests.support.kube import Kube
from tests.support.replay import Ending, References
from tools.cluster.api import Cluster


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    with control_plane("faults") as found:
        asyncio.run(_install(found))
        yield found


async def _install(cluster: Cluster) -> None:
    async with Kube.connected(cluster.kubeconfig) as kube:
        await install_crds(kube)


@pytest.fixture
def harness(cluster: Cluster, tmp_path: Path) -> Stages:
    """Set a stage; a test may set several, and they live side by side."""

    def make(config: dict[str, Any] | None = None, *, start: bool = True) -> AbstractAsyncContextManager[Harness]:
        return staged(cluster, tmp_path, config, start=start)

    return make


@pytest.fixture(scope="session")
def endings() -> dict[str, Ending]:
    return {}


@pytest.fixture
def references(endings: dict[str, Ending], harness: Stages) -> References:
    return References(endings, harness)
