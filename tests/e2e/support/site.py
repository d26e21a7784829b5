"""The stage of the end-to-end tests: a cluster with a real kubelet, the chart installed by Helm, and an S3 server."""

import json
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib import request

import boto3
from botocore.config import Config

from tools.cluster import api
from tools.cluster.locks import locked
from tools.image import Image, build

CHART = Path(__file__).resolve().parents[3] / "charts" / "perennial"
SYSTEM = "perennial-system"
RELEASE = "perennial"
STORAGE = "storage"
ENDPOINT = f"http://s3.{STORAGE}.svc:7070"
"""S3 as pods of every namespace reach it."""
KEYS = {"AWS_ACCESS_KEY_ID": "demo", "AWS_SECRET_ACCESS_KEY": "demosecret"}
BUCKETS = ("data", "models", "capture", "reports", "audit")
AUDIT_LOG = "s3://audit/all/"
"""Log of what the operator decides in all tests."""
_AUDIT_SECRET = "audit-s3"
_S3_PORT = 7070


@dataclass(frozen=True)
class Site:
    """What is up, and how to talk to it."""

    cluster: api.Cluster
    operator: Image
    demo: Image

    @property
    def kubeconfig(self) -> Path:
        """Return the admin's kubeconfig."""
        return self.cluster.kubeconfig

    def kubectl(self, *arguments: str, given: Any = None, check: bool = True, namespace: str | None = None) -> str:
        """Run kubectl, with an object on standard input where one is given; return what it says."""
        where = ["-n", namespace] if namespace else []
        return self._run("kubectl", *where, *arguments, given=given, check=check)

    def helm(self, *arguments: str, check: bool = True, program: str = "helm") -> str:
        """Run Helm 4, or the named program, and return what it says."""
        return self._run(program, *arguments, check=check)

    def _run(self, program: str, *arguments: str, given: Any = None, check: bool = True) -> str:
        done = subprocess.run(
            [str(api.binary(program)), "--kubeconfig", str(self.kubeconfig), *arguments],
            input=json.dumps(given) if given is not None else None,
            capture_output=True,
            text=True,
            check=False,
            timeout=500,
        )
        said = done.stdout + done.stderr
        if check and done.returncode != 0:
            raise AssertionError(f"{program} {' '.join(arguments)} ended with {done.returncode}:\n{said[-4000:]}")
        return done.stdout if check else said

    def s3(self) -> Any:
        """Return a client of the S3 server; a pod's and a Service's address can be reached from here."""
        return boto3.client(
            "s3",
            endpoint_url=self.s3_address(),
            region_name="us-east-1",
            aws_access_key_id=KEYS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=KEYS["AWS_SECRET_ACCESS_KEY"],
            config=Config(
                s3={"addressing_style": "path"},
                # The first uploads run while dozens of pods start: a busy node may break one off.
                retries={"mode": "standard", "total_max_attempts": 8},
                connect_timeout=5,
                read_timeout=60,
            ),
        )

    def s3_address(self) -> str:
        """Return the URL of the S3 server as it is reached from here."""
        address = self.kubectl("get", "service", "s3", "-o", "jsonpath={.spec.clusterIP}", namespace=STORAGE)
        return f"http://{address}:{_S3_PORT}"

    def metrics(self, seconds: float = 60) -> str:
        """Return the metrics of the replica that leads, by the Service that a Prometheus would scrape."""
        service = json.loads(self.kubectl("get", "service", f"{RELEASE}-metrics", "-o", "json", namespace=SYSTEM))
        url = f"http://{service['spec']['clusterIP']}:{service['spec']['ports'][0]['port']}/metrics"
        end = time.monotonic() + seconds
        while time.monotonic() < end:  # the Service answers for the replicas in turn
            with request.urlopen(url, timeout=20) as answer:
                text = str(answer.read().decode())
            if "perennial_leader 1.0" in text:
                return text
            time.sleep(0.3)
        raise AssertionError(f"no replica that leads answered {url} within {seconds:.0f} s")

    def values(self, **config: Any) -> dict[str, Any]:
        """Return the chart's values: this very image, small pods, and the demo image as the preset's server."""
        repository, _, tag = self.operator.name.rpartition(":")
        preset = {
            "image": self.demo.name,
            "command": ["python3", "-c", "from mlserver.cli import main; main()"],
            "args": ["start", "$(PERENNIAL_MODEL_DIR)"],
        }
        return {
            "image": {"repository": repository, "tag": tag, "pullPolicy": "IfNotPresent"},
            "config": {
                "agent": {"resources": {"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"memory": "1Gi"}}},
                "runtimes": {
                    **{f"mlserver-{library}": preset for library in ("sklearn", "xgboost", "lightgbm", "mlflow")},
                    "mlserver": {**preset, "args": ["start", "/mnt/models"]},
                },
                "audit": {
                    "uri": AUDIT_LOG,
                    "storage": {"endpoint": ENDPOINT, "secretName": _AUDIT_SECRET, "addressing": "path"},
                    # Each batch is a pod: many tests share two cores.
                    "batchSeconds": 45,
                },
                **config,
            },
            "resources": {"requests": {"cpu": "200m", "memory": "128Mi"}},
        }

    def install(self, release: str, namespace: str, values: dict[str, Any], *more: str, program: str = "helm") -> str:
        """Install or upgrade the chart and wait until it is ready."""
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump(values, file)
            file.flush()
            return self.helm(
                "upgrade", release, str(CHART), "--install", "--create-namespace", "--namespace", namespace,
                "--values", file.name, "--wait", "--timeout", "400s", *more, program=program,
            )  # fmt: skip


def bring_up(name: str) -> Site:
    """Bring everything up, or join a test process that has done so.

    Raises:
        ClusterError: what is missing on this machine and what to do.
    """
    with locked(f"site-{name}"):
        images = build("operator"), build("demo")
        found = Site(api.up(name), *images)
        if found.helm("status", RELEASE, "-n", SYSTEM, check=False).startswith("NAME:"):
            return found
        for image in images:
            api.load_image(name, image.archive)
        _install_storage(found)
        _install_chart(found)
        found.kubectl("rollout", "status", "deployment/s3", "--timeout=400s", namespace=STORAGE)
        client = found.s3()
        there = {bucket["Name"] for bucket in client.list_buckets()["Buckets"]}
        for bucket in set(BUCKETS) - there:
            client.create_bucket(Bucket=bucket)
        return found


def _install_chart(found: Site) -> None:
    namespace = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": SYSTEM, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
    }
    found.kubectl("apply", "-f", "-", given=namespace)
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": _AUDIT_SECRET}, "stringData": KEYS}
    found.kubectl("apply", "-f", "-", given=secret, namespace=SYSTEM)
    found.install(RELEASE, SYSTEM, found.values())


def _install_storage(found: Site) -> None:
    image, archive = api.program_image("versitygw")
    api.load_image(found.cluster.name, archive)
    labels = {"app": "s3"}
    container = {
        "name": "s3",
        "image": image,
        "command": ["/versitygw", "--port", f":{_S3_PORT}", "posix", "/data"],
        "env": [
            {"name": "ROOT_ACCESS_KEY", "value": KEYS["AWS_ACCESS_KEY_ID"]},
            {"name": "ROOT_SECRET_KEY", "value": KEYS["AWS_SECRET_ACCESS_KEY"]},
        ],
        "ports": [{"containerPort": _S3_PORT}],
        "readinessProbe": {"tcpSocket": {"port": _S3_PORT}, "periodSeconds": 1},
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    }
    pod = {
        "containers": [container],
        "securityContext": {"fsGroup": 65534, "runAsUser": 65534, "runAsGroup": 65534},
        "volumes": [{"name": "data", "emptyDir": {}}],
    }
    objects = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": STORAGE}},
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "s3", "namespace": STORAGE},
            "spec": {
                "selector": {"matchLabels": labels},
                "strategy": {"type": "Recreate"},
                "template": {"metadata": {"labels": labels}, "spec": pod},
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "s3", "namespace": STORAGE},
            "spec": {"selector": labels, "ports": [{"port": _S3_PORT}]},
        },
    ]
    found.kubectl("apply", "-f", "-", given={"apiVersion": "v1", "kind": "List", "items": objects})
