"""The whole loop, as `make demo` plays it: trained, served, drifted, retrained, refused, mended, and replaced."""

import asyncio
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from perennial.core.kinds import DRIFT_MONITOR, MODEL_DEPLOYMENT, TRAINING_JOB
from tests.e2e.support.site import Site
from tests.e2e.support.world import World, condition
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


def plugin(site: Site, *arguments: str) -> bytes:
    """Run `kubectl perennial` as its user would, and return what it prints.

    Raises:
        CalledProcessError: it ended with an error; holds what it said.
    """
    program = "from perennial.cli.main import main; main()"
    command = [sys.executable, "-c", program, "--kubeconfig", str(site.kubeconfig), "-n", NAMESPACE]
    return subprocess.run([*command, *arguments], capture_output=True, check=True, timeout=400).stdout


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
