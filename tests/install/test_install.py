"""The install as README.md says it, word for word, with the image in a registry that the test starts.

Its cluster is its own: with the chart's defaults, resources of other tests would be rolled out anew.
"""

import asyncio
import contextlib
import re
import shlex
import socket
import subprocess
from collections.abc import Iterator

import pytest

from perennial.core.kinds import POD
from tests.e2e.support.site import CHART, RELEASE, SYSTEM, Site
from tests.e2e.support.world import World
from tests.support.kube import Kube
from tests.support.waiting import until
from tools.cluster import api

NAMESPACE = "install"
ROOT = CHART.parents[1]
PORT = 5000
WRITE = "open('/perennial/output/model', 'w').write('made')"


@pytest.fixture
def registry(site: Site) -> Iterator[str]:
    """Name a registry on the node, as the test reaches it; nodes use one on their own loopback without TLS."""
    image, archive = api.program_image("crane")
    api.load_image(site.cluster.name, archive)
    container = {"name": "registry", "image": image, "command": ["/crane", "registry", "serve", f"--address=:{PORT}"]}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "registry"},
        "spec": {"containers": [container], "hostNetwork": True, "terminationGracePeriodSeconds": 1},
    }
    site.kubectl("apply", "-f", "-", given=pod, namespace="default")
    try:
        site.kubectl("wait", "pod/registry", "--for=condition=Ready", "--timeout=300s", namespace="default")
        where = ("get", "pod", "registry", "-o", "jsonpath={.status.hostIP}")
        address = f"{site.kubectl(*where, namespace='default').strip()}:{PORT}"
        until(lambda: _answers(address), "the registry answers")
        yield address
    finally:
        site.kubectl("delete", "pod", "registry", namespace="default")


def _answers(address: str) -> bool | None:
    host, _, port = address.rpartition(":")
    with contextlib.suppress(OSError), socket.create_connection((host, int(port)), 1):
        return True
    return None


@pytest.fixture
def place(site: Site) -> None:
    """Room for a new release: without that of the end-to-end tests."""
    site.helm("uninstall", RELEASE, "-n", SYSTEM, "--wait", "--timeout", "120s")


def commands(page: str, heading: str) -> list[list[str]]:
    """Return the commands of the first block of shell under a heading, as words."""
    text = (ROOT / page).read_text()
    found = re.search(rf"^##+ {re.escape(heading)}\n.*?^```sh\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    assert found, f"{page} has no block under {heading!r}"
    joined = found.group(1).replace("\\\n", " ")
    return [words for line in joined.splitlines() if (words := shlex.split(line, comments=True))]


async def test_the_install_of_the_readme_works_from_a_registry(
    world: World, kube: Kube, registry: str, place: None
) -> None:
    image, push, install = commands("README.md", "Install")
    assert image == ["make", "image"]
    assert push[:3] == ["crane", "push", "ARCHIVE"]
    here = {"ARCHIVE": str(world.site.operator.archive), "charts/perennial": str(CHART)}

    def moved(words: list[str], host: str) -> list[str]:
        return [here.get(word, word.replace("registry.example/", f"{host}/")) for word in words[1:]]

    # Nodes and people of a company know its registry by one name; here it has one for each side.
    pushed = [str(api.binary("crane")), "--insecure", *moved(push, registry)]
    await asyncio.to_thread(subprocess.run, pushed, check=True)
    # The node has the same image under another name; it must not take one for the other, nor ask for keys to both.
    other = [pushed[0], "--insecure", "mutate", "--label", "from=registry", "--tag", pushed[-1], pushed[-1]]
    await asyncio.to_thread(subprocess.run, other, check=True)
    assert install[0] == "helm"
    world.site.helm(*moved(install, f"localhost:{PORT}"))
    (rollout,) = [words for words in commands("docs/get-started.md", "1. Install the operator") if "rollout" in words]
    world.site.kubectl(*rollout[1:])

    await world.train("first", WRITE)
    await world.succeeded("first")
    pods = await kube.list(POD, SYSTEM, "app.kubernetes.io/name=perennial")
    (train,) = await world.children(POD, "first")
    agents = train["spec"]["initContainers"] + train["spec"]["containers"]
    wanted = f"localhost:{PORT}/perennial:0.1.0"
    assert {pod["status"]["containerStatuses"][0]["image"] for pod in pods} == {wanted}
    assert wanted in {container["image"] for container in agents}
