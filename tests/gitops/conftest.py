"""One cluster and one Argo CD for all tests of GitOps."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import (  # noqa: F401 - hooks and fixtures: the cluster is that of the end-to-end tests
    kube,
    pytest_configure,
    pytest_runtest_makereport,
    pytest_sessionfinish,
    site,
    world,
)
from tests.e2e.support.site import Site
from tests.gitops.support.argocd import ArgoCD, running
from tests.gitops.support.repository import Repository
from tests.support.kube import Kube


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """The repository that Argo CD watches."""
    return Repository.create(tmp_path_factory.mktemp("git") / "gitops")


@pytest.fixture(scope="session")
def _argocd(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:  # noqa: F811 - the fixture
    folder = tmp_path_factory.mktemp("argocd")
    with running(site, folder):
        yield folder


@pytest.fixture
def argocd(_argocd: Path, kube: Kube, repository: Repository) -> ArgoCD:  # noqa: F811 - the fixture
    return ArgoCD(kube, repository)
