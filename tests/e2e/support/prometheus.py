"""A real Prometheus on this machine that scrapes the operator as the chart's ServiceMonitor asks, and has its alerts.

The Prometheus Operator, which turns a ServiceMonitor into a scrape configuration, is not here: that step is imitated,
with the labels that it gives each target.
"""

import json
import re
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import urlopen

import yaml

from tests.e2e.support.site import CHART, RELEASE, SYSTEM, Site
from tests.support.ports import reserved
from tests.support.waiting import until
from tools.cluster import api

_PORT = 8080
_VALUES = ",".join(f"metrics.{name}.enabled=true" for name in ("serviceMonitor", "podMonitor", "prometheusRule"))


@dataclass(frozen=True)
class Prometheus:
    """A running server."""

    port: int
    follow: Callable[[], None]
    """Looks again which pods there are to scrape."""

    def get(self, path: str, **parameters: str) -> Any:
        """Return the data of an answer of the HTTP API.

        https://prometheus.io/docs/prometheus/latest/querying/api/

        Raises:
            HTTPError: the server refuses the query, for example because it does not parse.
        """
        with urlopen(f"http://127.0.0.1:{self.port}/api/v1/{path}?{urlencode(parameters)}", timeout=20) as answer:
            return json.load(answer)["data"]

    def history(self, expression: str, start: float, end: float, step: float) -> list[Mapping[str, Any]]:
        """Return the series of a query over a time, in seconds since 1970."""
        asked = {"start": str(start), "end": str(end), "step": str(step)}
        return list(self.get("query_range", query=expression, **asked)["result"])

    def query(self, expression: str, *, ahead: float = 0) -> list[Mapping[str, Any]]:
        """Return the series of an instant query, asked as if so many seconds had passed without a new sample.

        A subquery looks at whole minutes: a server that has just started has seen none of them yet.
        """
        return list(self.get("query", query=expression, time=str(time.time() + ahead))["result"])

    def values(self, variable: str) -> set[str]:
        """Return the values of a dashboard's variable, whose query is Grafana's `label_values(<selector>, <label>)`."""
        found = re.fullmatch(r"label_values\((.*), (\w+)\)", variable)
        assert found, variable
        return set(self.get(f"label/{found[2]}/values", **{"match[]": found[1]}))

    def alerts(self) -> list[Mapping[str, Any]]:
        """Return the rules with their state."""
        return [rule for group in self.get("rules")["groups"] for rule in group["rules"]]


def filled(expression: str, chosen: Mapping[str, str]) -> str:
    """Put values in place of a dashboard's variables, as Grafana does."""
    for name in sorted(chosen, key=len, reverse=True):
        expression = expression.replace(f"${name}", chosen[name])
    return expression


@contextmanager
def scraping(site: Site, folder: Path, namespace: str) -> Iterator[Prometheus]:
    """Run Prometheus while the context is open; `folder` takes its files.

    It scrapes every replica of the operator and the model servers of a namespace again and again.
    """
    binary = api.binary("prometheus")
    rendered = site.helm("template", RELEASE, str(CHART), "-n", SYSTEM, "--set", _VALUES)
    objects = {item["kind"]: item for item in yaml.safe_load_all(rendered) if item}
    (folder / "rules.yaml").write_text(json.dumps(objects["PrometheusRule"]["spec"]))
    (endpoint,) = objects["ServiceMonitor"]["spec"]["endpoints"]
    pods = objects["PodMonitor"]["spec"]

    def follow() -> None:
        # Prometheus reads these files again when they change.
        (folder / "operator.json").write_text(json.dumps(_targets(site)))
        (folder / "servers.json").write_text(json.dumps(_servers(site, pods, namespace)))

    follow()
    jobs = [_job(endpoint, "operator.json"), _job(pods["podMetricsEndpoints"][0], "servers.json")]
    (folder / "prometheus.yaml").write_text(json.dumps(_configuration(jobs)))
    with reserved() as port, (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [
                str(binary),
                f"--config.file={folder / 'prometheus.yaml'}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            cwd=folder,
            stdout=log,
            stderr=log,
        )
        try:
            found = Prometheus(port, follow)
            until(lambda: _is_ready(found, process, folder / "log"), "Prometheus is ready", 60, 1)
            yield found
        finally:
            process.terminate()
            process.wait(30)


def _is_ready(server: Prometheus, process: "subprocess.Popen[bytes]", log: Path) -> bool | None:
    assert process.poll() is None, f"Prometheus has ended:\n{log.read_text()[-4000:]}"
    server.follow()
    try:
        return True if server.query("perennial_leader == 1") and not server.query("up == 0") else None
    except (URLError, ConnectionError):
        return None


def _targets(site: Site) -> list[Mapping[str, Any]]:
    """Return the operator's pods, with the labels of targets that a ServiceMonitor's have."""
    selector = f"app.kubernetes.io/instance={RELEASE}"
    pods = json.loads(site.kubectl("get", "pods", "-l", selector, "-o", "json", namespace=SYSTEM))["items"]
    return [
        {
            "targets": [f"{pod['status']['podIP']}:{_PORT}"],
            "labels": {
                "namespace": SYSTEM,
                "pod": pod["metadata"]["name"],
                "container": "operator",
                "service": f"{RELEASE}-metrics",
                "endpoint": "http",
            },
        }
        for pod in pods
        if _can_be_scraped(pod)
    ]


def _servers(site: Site, monitor: Mapping[str, Any], namespace: str) -> list[Mapping[str, Any]]:
    """Return the pods that a PodMonitor selects, with the labels of their targets."""
    (endpoint,) = monitor["podMetricsEndpoints"]
    selector = ",".join(f"{name}={value}" for name, value in monitor["selector"]["matchLabels"].items())
    pods = json.loads(site.kubectl("get", "pods", "-l", selector, "-o", "json", namespace=namespace))["items"]
    return [
        {
            "targets": [f"{pod['status']['podIP']}:{port['containerPort']}"],
            "labels": {"namespace": namespace, "pod": pod["metadata"]["name"], "container": container["name"]},
        }
        for pod in pods
        for container in pod["spec"]["containers"]
        for port in container.get("ports", ())
        if port.get("name") == endpoint["port"] and _can_be_scraped(pod)
    ]


def _can_be_scraped(pod: Mapping[str, Any]) -> bool:
    """Tell whether a pod has an address and stays: one that is about to end would count as down."""
    status = pod["status"]
    return bool(status.get("podIP")) and status["phase"] == "Running" and "deletionTimestamp" not in pod["metadata"]


def _job(endpoint: Mapping[str, Any], file: str) -> dict[str, Any]:
    return {
        "job_name": f"{RELEASE}-{endpoint['port']}",
        "metrics_path": endpoint["path"],
        "honor_labels": endpoint.get("honorLabels", False),
        "file_sd_configs": [{"files": [file]}],
    }


def _configuration(jobs: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "global": {"scrape_interval": "2s", "scrape_timeout": "2s", "evaluation_interval": "1s"},
        "rule_files": ["rules.yaml"],
        "scrape_configs": jobs,
    }
