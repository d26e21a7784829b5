"""The whole loop, as `make demo` plays it: trained, served, drifted, retrained, refused, mended, and replaced."""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator, Mapping
from math import isnan
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from perennial.core.kinds import CONFIG_MAP, DRIFT_MONITOR, MODEL_DEPLOYMENT, TRAINING_JOB
from tests.e2e.support.prometheus import Prometheus, filled, scraping
from tests.e2e.support.site import AUDIT_LOG, CHART, KEYS, SYSTEM, Site
from tests.e2e.support.world import World, condition
from tests.support.kube import eventually
from tests.support.waiting import until
from tools.cluster import api
from tools.demo import story
from tools.demo.closing import MODEL, NAMESPACE
from tools.demo.images import Images
from tools.demo.kubectl import Kubectl
from tools.demo.watch import Watch
from tools.image import Image


@pytest.fixture(scope="module", autouse=True)
def _played(site: Site) -> None:
    """Play the demo's story; it waits at each step until what that promises is so, and fails where it is not."""
    images = Images(site.operator, site.demo, Image(*api.program_image("versitygw")))
    kubectl = Kubectl.of(site.kubeconfig, ours=True)
    story.prepare(kubectl, images)
    story.play(Watch(kubectl, NAMESPACE), images)


@pytest.fixture
def world(site: Site, kube: object) -> World:
    return World(site, kube, NAMESPACE)  # type: ignore[arg-type]


async def test_the_model_from_the_verdict_is_refused_and_the_one_from_correct_data_serves(world: World) -> None:
    training = await world.status(TRAINING_JOB, MODEL)
    newest, refused, first = training["runs"]
    assert (first["trigger"]["kind"], first["result"]) == ("Created", "Succeeded")
    assert (refused["trigger"]["kind"], refused["trigger"]["monitor"]) == ("Drift", MODEL)
    assert (newest["trigger"]["kind"], newest["result"]) == ("Manual", "Succeeded")
    assert len({run["artifactDigest"] for run in training["runs"]}) == 3
    assert len({run["inputs"][0]["digest"] for run in training["runs"]}) == 3

    serving = await world.status(MODEL_DEPLOYMENT, MODEL)
    assert serving["stable"]["digest"] == newest["artifactDigest"]
    assert condition(serving, "Ready", "True", "Serving")
    history = [(entry["result"], entry.get("reason"), entry["digest"]) for entry in serving["history"]]
    assert history[0] == ("Promoted", history[0][1], newest["artifactDigest"])
    assert history[1] == ("Failed", "GateFailed", refused["artifactDigest"])
    assert (history[2][0], history[2][2]) == ("Promoted", first["artifactDigest"])

    monitor = await world.status(DRIFT_MONITOR, MODEL)
    assert monitor["lastVerdict"]["digest"] == newest["artifactDigest"]
    assert monitor["lastVerdict"]["drifted"] is False


async def test_the_verdict_has_a_report_an_event_and_gauges(world: World) -> None:
    monitor = await world.status(DRIFT_MONITOR, MODEL)
    assert monitor["reportUri"].startswith("s3://reports/")
    assert {"RunStarted", "RolloutStarted", "RolloutFailed", "Promoted", "DriftDetected"} <= set(
        await world.events(MODEL)
    )
    lines = (await asyncio.to_thread(world.site.metrics)).splitlines()
    (detected,) = [line for line in lines if line.startswith("perennial_drift_detected{") and NAMESPACE in line]
    assert detected.endswith(" 0.0")


PROGRAMS = {**os.environ, "PYTHONPATH": str(CHART.parents[1] / "operator")}
"""Environment of the package's own programs."""


def plugin(site: Site, *arguments: str) -> bytes:
    """Run `kubectl perennial` as its user would, and return what it prints.

    Raises:
        CalledProcessError: it ended with an error; holds what it said.
    """
    program = "from perennial.cli.main import main; main()"
    command = [sys.executable, "-c", program, "--kubeconfig", str(site.kubeconfig), "-n", NAMESPACE]
    return subprocess.run([*command, *arguments], env=PROGRAMS, capture_output=True, check=True, timeout=400).stdout


async def test_one_prediction_leads_back_to_the_run_and_the_data_of_its_model(world: World) -> None:
    digests = {run["artifactDigest"] for run in (await world.status(TRAINING_JOB, MODEL))["runs"]}

    said = await asyncio.to_thread(plugin, world.site, "trace", MODEL, "tumour-5", "-o", "json")

    links = {
        link["title"]: {fact["name"]: fact.get("value") for fact in link["facts"]} for link in json.loads(said)["links"]
    }
    assert links["model"]["digest"] in digests
    assert links["training"]["run"].startswith(f"{NAMESPACE}/{MODEL}-")
    assert all(value.startswith("s3://") for value in links["training data"].values())


async def test_the_evidence_about_the_model_that_serves_is_one_file(world: World, tmp_path: Path) -> None:
    bundle = tmp_path / "evidence.zip"

    await asyncio.to_thread(plugin, world.site, "evidence", MODEL, "-f", str(bundle))

    with zipfile.ZipFile(bundle) as packed:
        assert {"index.html", "evidence.json", "SHA256SUMS"} <= set(packed.namelist())
        page = packed.read("index.html").decode()
    assert "gate quality" in page


async def test_the_newest_report_reaches_a_person_who_cannot_read_the_bucket(world: World) -> None:
    page = await asyncio.to_thread(plugin, world.site, "report", MODEL, "-f", "-")
    assert page.startswith(b"<!doctype html>")


def audit(site: Site, *arguments: str) -> list[str]:
    """Run `perennial agent audit` on the log that the operator writes, and return the lines that it prints.

    Raises:
        CalledProcessError: it ended with an error, as `verify` does on a log that is not intact.
    """
    command, *rest = arguments
    where = ["--uri", AUDIT_LOG, "--endpoint", site.s3_address(), "--addressing", "path", "-o", "json"]
    done = subprocess.run(
        [sys.executable, "-m", "perennial", "agent", "audit", command, *where, *rest],
        env={**PROGRAMS, **KEYS},
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    return done.stdout.splitlines()


async def test_the_audit_log_tells_of_the_loop_and_is_intact(world: World) -> None:
    serving = await world.status(MODEL_DEPLOYMENT, MODEL)
    promoted, refused = (item["digest"] for item in serving["history"][:2])
    wanted = {("RolloutPromoted", promoted), ("RolloutFailed", refused)}

    async def told() -> list[dict[str, Any]] | None:
        lines = await asyncio.to_thread(audit, world.site, "show", "--namespace", NAMESPACE)
        found = [json.loads(line)["entry"] for line in lines]
        return found if wanted <= {(item["event"], item.get("modelDigest")) for item in found} else None

    entries = await eventually(told, "the log tells of both rollouts", 300)

    events = {item["event"] for item in entries}
    assert {"RunSucceeded", "ArtifactAccepted", "VerdictReached", "RetrainRequested", "GateDecided"} <= events
    assert len({item["id"] for item in entries}) == len(entries)
    head = await world.kube.get(CONFIG_MAP, SYSTEM, "perennial-audit-head") or {}
    position = ("--expect-sequence", head["data"]["sequence"], "--expect-hash", head["data"]["hash"])
    (report,) = await asyncio.to_thread(audit, world.site, "verify", *position)
    assert json.loads(report)["result"] == "Intact"


DASHBOARDS = sorted((CHART / "files" / "dashboards").glob("*.json"))
_UNLABELLED = "the example's DriftMonitor compares inputs only: nobody labels its predictions"
WITHOUT_DATA = {
    "Performance and fairness": _UNLABELLED,
    "Labelled predictions": _UNLABELLED,
    "Errors": "MLServer has no series of errors before the first one",
}
"""Panels that cannot have data after this story, and why."""
OTHER_SERVERS = ("nv_inference_", "http_requests_total", "vllm:")
"""Series of model servers that this story does not run."""


@pytest.fixture(scope="module")
def prometheus(site: Site, _played: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    with scraping(site, tmp_path_factory.mktemp("prometheus"), NAMESPACE) as server:
        yield server


@pytest.fixture
def touch(site: Site) -> Callable[[], None]:
    """Give the operator and the model something to measure: a change that nobody reads, and a request."""
    count = iter(range(1000))
    address = site.kubectl("get", "service", MODEL, "-o", "jsonpath={.spec.clusterIP}", namespace=NAMESPACE)

    def again() -> None:
        site.kubectl(
            "annotate", "trainingjob", MODEL, f"example.com/touched={next(count)}", "--overwrite", namespace=NAMESPACE
        )
        # An empty request is refused, and counted as any other.
        with contextlib.suppress(OSError):
            urlopen(f"http://{address}/v2/models/{MODEL}/infer", data=b"{}", timeout=10).close()

    return again


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_each_panel_of_a_dashboard_has_data(path: Path, prometheus: Prometheus, touch: Callable[[], None]) -> None:
    dashboard = json.loads(path.read_text())
    chosen = {"namespace": NAMESPACE, "name": MODEL}
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            offered = prometheus.values(filled(variable["definition"], chosen))
            assert chosen[variable["name"]] in offered, variable["name"]

    def nothing_lacks() -> bool | None:
        touch()
        nonlocal lacking
        lacking = [
            f"{panel['title']}: {target['expr']}"
            for panel in dashboard["panels"]
            if panel["title"] not in WITHOUT_DATA
            for target in panel["targets"]
            if not any(name in target["expr"] for name in OTHER_SERVERS)
            and not _has_numbers(prometheus.query(filled(target["expr"], chosen), ahead=60))
        ]
        return True if not lacking else None

    lacking: list[str] = []
    try:
        until(nothing_lacks, "each query of the dashboard returns numbers", 60, 1)
    except AssertionError as error:
        raise AssertionError("\n".join([str(error), *lacking])) from None


def test_the_panels_without_data_exist() -> None:
    titles = {panel["title"] for path in DASHBOARDS for panel in json.loads(path.read_text())["panels"]}
    assert set(WITHOUT_DATA) <= titles


def _has_numbers(series: list[Mapping[str, Any]]) -> bool:
    return any(not isnan(float(item["value"][1])) for item in series)


def test_prometheus_evaluates_every_alert_and_none_fires_once_the_loop_is_closed(prometheus: Prometheus) -> None:
    def evaluated() -> list[Mapping[str, Any]] | None:
        found = prometheus.alerts()
        return found if found and all(rule["health"] != "unknown" for rule in found) else None

    rules = until(evaluated, "each alert is evaluated", 60)

    assert {rule["name"]: rule.get("lastError", "") for rule in rules if rule["health"] != "ok"} == {}
    # Tests of other namespaces run beside this one.
    firing = [
        (alert["labels"], alert["annotations"]["summary"])
        for rule in rules
        for alert in rule["alerts"]
        if alert["state"] == "firing" and alert["labels"].get("namespace") == NAMESPACE
    ]
    assert firing == []


def test_promtool_finds_nothing_to_say_about_the_operators_metrics(site: Site) -> None:
    text = site.metrics()

    done = subprocess.run(
        [str(api.binary("promtool")), "check", "metrics"],
        input=text,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (done.returncode, done.stdout + done.stderr) == (0, "")
