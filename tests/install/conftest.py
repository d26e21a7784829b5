"""One cluster for the test of the install, which takes the release of the other tests away."""

from tests.e2e.conftest import (  # noqa: F401 - hooks and fixtures: the cluster is that of the end-to-end tests
    kube,
    pytest_configure,
    pytest_runtest_makereport,
    pytest_sessionfinish,
    site,
    world,
)
