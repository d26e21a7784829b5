"""A real Argo CD beside a cluster: its application controller and repository server as processes of this machine.

Nothing of it is in the cluster but its kinds and its settings, which are those of examples/gitops/argocd.
"""

import json
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import yaml

from perennial.core.kinds import Kind, Raw
from tests.e2e.support.site import Site
from tests.gitops.support.repository import Repository
from tests.support.kube import Kube, eventually
from tests.support.ports import reserved
from tests.support.waiting import until
from tools.cluster import api

EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "gitops"
NAMESPACE = "argocd"
APPLICATION = Kind("argoproj.io", "v1alpha1", "Application", "applications")
REFRESH = "argocd.argoproj.io/refresh"
CASCADE = "resources-finalizer.argocd.argoproj.io"
"""A finalizer of an Application: deleting it deletes what it has synced."""

_PROGRAMS = (
    "argocd-application-controller", "argocd-repo-server", "argocd-redis", "argocd-git-ask-pass", "kustomize",
)  # fmt: skip


@dataclass(frozen=True)
class ArgoCD:
    """A running Argo CD and the one repository of its applications."""

    kube: Kube
    repository: Repository

    async def create(self, name: str, path: str, namespace: str, *, server_side: bool = True) -> None:
        """Create the Application of the example, under another name, for a folder of the repository.

        Args:
            name: of the Application.
            path: the folder.
            namespace: where its resources go.
            server_side: apply and compare in the API server, as the example does; False: as Argo CD does unasked.
        """
        body = yaml.safe_load((EXAMPLE / "argocd" / "application.yaml").read_text(encoding="utf-8"))
        body["metadata"] = {**body["metadata"], "name": name, "finalizers": [CASCADE]}
        body["spec"]["source"] |= {"repoURL": self.repository.url, "path": path}
        body["spec"]["destination"]["namespace"] = namespace
        if not server_side:
            del body["metadata"]["annotations"], body["spec"]["syncPolicy"]["syncOptions"]
        await self.kube.create(APPLICATION, NAMESPACE, body)

    async def status(self, name: str) -> Raw:
        """Return an application's status; empty before there is any."""
        found = await self.kube.get(APPLICATION, NAMESPACE, name)
        return dict((found or {}).get("status") or {})

    async def refresh(self, name: str) -> Raw:
        """Let Argo CD look at the repository and the cluster now, and return what it has seen."""
        asked = {"metadata": {"annotations": {REFRESH: "hard"}}}
        await self.kube.patch(APPLICATION, NAMESPACE, name, asked)

        async def looked() -> Raw | None:
            found = await self.kube.get(APPLICATION, NAMESPACE, name) or {}
            return None if REFRESH in (found.get("metadata", {}).get("annotations") or {}) else found

        return dict((await eventually(looked, f"Argo CD refreshes {name}", 60, 0.2)).get("status") or {})

    async def until(self, name: str, holds: Callable[[Raw], Any], what: str, seconds: float = 120) -> Raw:
        """Return the status once something holds of it."""
        last: Raw = {}

        async def check() -> Raw | None:
            nonlocal last
            last = await self.status(name)
            return last if holds(last) else None

        try:
            return dict(await eventually(check, f"application {name}: {what}", seconds, 0.3))
        except AssertionError as error:
            raise AssertionError(f"application {name}: not {what}: {brief(last)}") from error

    async def synced(self, name: str, revision: str, seconds: float = 120) -> Raw:
        """Return the status once a commit is synced, and nothing in the cluster differs from it."""
        await self.refresh(name)
        return await self.until(name, lambda now: in_sync(now, revision), f"synced to {revision[:8]}", seconds)

    async def healthy(self, name: str, seconds: float = 240) -> Raw:
        """Return the status once the application is healthy."""
        return await self.until(name, lambda now: health(now) == "Healthy", "healthy", seconds)


def in_sync(status: Raw, revision: str) -> bool:
    """Tell whether a commit was applied, and what is in the cluster equals it."""
    done = status.get("operationState", {})
    compared = status.get("sync", {})
    return bool(
        compared.get("status") == "Synced"
        and compared.get("revision") == revision
        and done.get("phase") == "Succeeded"
        and done.get("syncResult", {}).get("revision") == revision
    )


def health(status: Raw) -> str:
    """Return the health of an application: the worst of its resources."""
    return str(status.get("health", {}).get("status", ""))


def health_of(status: Raw, kind: str, name: str) -> Raw:
    """Return the health of one of its resources; empty where Argo CD does not judge it."""
    for item in status.get("resources", ()):
        if (item["kind"], item["name"]) == (kind, name):
            return dict(item.get("health") or {})
    return {}


def differing(status: Raw) -> list[str]:
    """Return the resources that differ from the repository."""
    return [f"{item['kind']}/{item['name']}" for item in status.get("resources", ()) if item["status"] != "Synced"]


def brief(status: Raw) -> str:
    """Return in a line what keeps an application from being synced and healthy."""
    done = status.get("operationState", {})
    said = [item["message"] for item in status.get("conditions", ())]
    parts = [done.get("phase"), done.get("message"), status.get("sync"), status.get("health"), *said]
    results = [item for item in done.get("syncResult", {}).get("resources", ()) if item.get("status") != "Synced"]
    return " | ".join(str(part) for part in [*parts, *differing(status), *results] if part)


@contextmanager
def running(site: Site, folder: Path) -> Iterator[None]:
    """Run Argo CD while the context is open; `folder` takes its programs' names, files and logs."""
    _install(site)
    programs = folder / "bin"
    programs.mkdir(parents=True)
    for name in _PROGRAMS:
        (programs / name).symlink_to(api.binary("argocd"))
    for name in ("tls", "ssh", "plugins", "tmp"):
        (folder / name).mkdir()
    environment = {
        **os.environ,
        "PATH": f"{programs}:{os.environ['PATH']}",
        "HOME": str(folder),
        "TMPDIR": str(folder / "tmp"),
        "KUBECONFIG": str(site.kubeconfig),
        # `https://kubernetes.default.svc` is then the cluster of the kubeconfig.
        "ARGOCD_FAKE_IN_CLUSTER": "true",
        "ARGOCD_GPG_ENABLED": "false",
        "ARGOCD_TLS_DATA_PATH": str(folder / "tls"),
        "ARGOCD_SSH_DATA_PATH": str(folder / "ssh"),
        "ARGOCD_PLUGINSOCKFILEPATH": str(folder / "plugins"),
    }
    with reserved(5) as port, ExitStack() as stack:
        redis, repository = f"127.0.0.1:{port}", f"127.0.0.1:{port + 1}"
        metrics = {"argocd-repo-server": port + 2, "argocd-application-controller": port + 3}

        def start(program: str, *arguments: str) -> None:
            stack.enter_context(_process([str(programs / program), *arguments], folder, environment))

        start("argocd-redis", redis)
        start(
            "argocd-repo-server", "--redis", redis, "--disable-tls", "--address", "127.0.0.1", "--port", str(port + 1),
            "--metrics-address", "127.0.0.1", "--metrics-port", str(port + 2),
        )  # fmt: skip
        start(
            "argocd-application-controller", "--namespace", NAMESPACE, "--redis", redis,
            "--repo-server", repository, "--repo-server-plaintext", "--metrics-port", str(port + 3),
            # So that a test sees the health of each resource, not only of the whole.
            "--persist-resource-health",
        )  # fmt: skip
        for program, its_port in metrics.items():
            until(lambda its_port=its_port: _answers(its_port), f"{program} answers: see {folder}/{program}.log")
        yield


@contextmanager
def _process(command: list[str], folder: Path, environment: Mapping[str, str]) -> Iterator[None]:
    with (folder / f"{Path(command[0]).name}.log").open("w") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _answers(port: int) -> bool | None:
    try:
        with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            return answer.status == 200
    except (URLError, OSError):
        return None


def _established(site: Site) -> bool | None:
    # Right after they were applied they have no conditions yet, which a path in JSONPath takes for an error.
    names = ("applications.argoproj.io", "appprojects.argoproj.io")
    kinds = json.loads(site.kubectl("get", "crd", *names, "-o", "json"))["items"]
    held = [
        {item["type"] for item in kind.get("status", {}).get("conditions") or () if item["status"] == "True"}
        for kind in kinds
    ]
    return True if all("Established" in types for types in held) else None


def _install(site: Site) -> None:
    """Give the cluster Argo CD's kinds, its settings, and the project that everybody may use."""
    manifests = api.module_folder("argocd") / "manifests" / "crds"
    crds = [str(manifests / f"{name}-crd.yaml") for name in ("application", "appproject")]
    site.kubectl("apply", "--server-side", "--force-conflicts", *(part for crd in crds for part in ("-f", crd)))
    until(lambda: _established(site), "the API server knows Argo CD's kinds")
    everything = [{"group": "*", "kind": "*"}]
    project = {
        "sourceRepos": ["*"],
        "destinations": [{"namespace": "*", "server": "*"}],
        "clusterResourceWhitelist": everything,
    }
    labels = {"app.kubernetes.io/part-of": "argocd"}
    secret = {"name": "argocd-secret", "namespace": NAMESPACE, "labels": labels}
    objects = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        {"apiVersion": "v1", "kind": "Secret", "metadata": secret, "stringData": {"server.secretkey": "of-tests"}},
        {
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "AppProject",
            "metadata": {"name": "default", "namespace": NAMESPACE},
            "spec": project,
        },
        yaml.safe_load((EXAMPLE / "argocd" / "argocd-cm.yaml").read_text(encoding="utf-8")),
    ]
    items = {"apiVersion": "v1", "kind": "List", "items": objects}
    site.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", given=items)
