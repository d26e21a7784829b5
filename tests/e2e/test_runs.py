"""What starts runs on a real cluster, which models are accepted, and sweeps: by the real clock, storage and Jobs."""

import asyncio
from typing import Any

import pytest

from perennial.core.kinds import CRON_JOB, JOB, TRAINING_JOB, Raw
from perennial.core.times import parse_time
from tests.e2e.support.site import Site
from tests.e2e.support.world import World, condition, within
from tests.support.kube import Kube

NAMESPACE = "runs"
QUICK = {"output": None, "storage": None}
REPORTS = """
import json, os, time
for step in range(1, 1000):
    open("/perennial/next", "w").write(json.dumps({"step": step, "total": 1000, "metrics": {"loss": 1 / step}}))
    os.rename("/perennial/next", "/perennial/progress.json")
    time.sleep(0.5)
"""
SCORED = """
import json, os
depth = int(os.environ.get("PERENNIAL_PARAM_DEPTH", "0"))
if depth == 3: raise SystemExit("too deep")
open("/perennial/output/model", "w").write(f"of depth {depth}")
json.dump({"auc": 0.5 + depth / 10}, open("/perennial/output/metrics.json", "w"))
"""


async def start_all(site: Site) -> None:
    """Start what takes time by the clock."""
    site.s3().put_object(Bucket="data", Key="runs/set/a.csv", Body=b"1")
    async with Kube.connected(site.kubeconfig) as kube:
        world = await World(site, kube, NAMESPACE).prepare()
        inputs = [{"name": "set", "uri": "s3://data/runs/set/"}]
        await asyncio.gather(
            world.train("watches", "pass", output=None, inputs=inputs, newData={"poll": "1m"}),
            world.train("hourglass", "pass", schedule="* * * * *", **QUICK),
            world.train("asked", "pass", **QUICK),
            world.train("reports", REPORTS),
            world.train(
                "sweeps",
                SCORED,
                sweep={"grid": {"depth": ["1", "2", "3"]}, "parallel": 2, "objective": {"metric": "auc"}},
                acceptance=[{"metric": "auc", "min": "0.6"}],
            ),
        )


@pytest.fixture(scope="module", autouse=True)
def _started(site: Site) -> None:
    asyncio.run(start_all(site))


def trigger(status: Raw) -> dict[str, Any]:
    found: dict[str, Any] = status["runs"][0]["trigger"]
    return found


async def test_the_annotation_starts_one_run_for_each_value(world: World) -> None:
    await world.succeeded("asked")
    for value, runs in (("one", 2), ("one", 2), ("two", 3)):
        annotation = {"metadata": {"annotations": {"perennial.dev/run-now": value}}}
        await world.kube.patch(TRAINING_JOB, NAMESPACE, "asked", annotation)
        status = await world.succeeded("asked", runs=runs)
        assert (trigger(status)["kind"], trigger(status)["token"]) == ("Manual", value)

    assert (await world.status(TRAINING_JOB, "asked"))["runCount"] == 3


async def test_progress_reaches_the_status_a_little_at_a_time(world: World) -> None:
    def progress(now: Raw) -> Any:
        return now.get("currentRun", {}).get("progress")

    first = progress(await world.until(TRAINING_JOB, "reports", progress, "some progress"))
    assert first["total"] == 1000
    assert float(first["metrics"]["loss"]) <= 1
    later = await world.until(TRAINING_JOB, "reports", lambda now: progress(now)["step"] > first["step"], "more of it")
    assert progress(later)["etaSeconds"] > 0
    between = parse_time(progress(later)["time"]) - parse_time(first["time"])
    assert between.total_seconds() >= 29
    await world.change(TRAINING_JOB, "reports", suspend=True)


async def test_the_best_trial_makes_the_model_and_a_worse_one_later_is_rejected(world: World) -> None:
    status = await world.succeeded("sweeps")
    assert [trial["phase"] for trial in status["sweep"]["trials"]] == ["Succeeded", "Succeeded", "Failed"]
    assert "too deep" in status["sweep"]["trials"][2]["message"]
    assert status["runs"][0]["parameters"] == {"depth": "2"}
    assert status["artifact"]["metrics"] == {"auc": "0.7"}
    assert status["artifact"]["chain"] == "sweeps-1"
    assert [job["metadata"]["name"] for job in await world.children(JOB, "sweeps")] == ["sweeps-1-t2-0"]

    await world.change(TRAINING_JOB, "sweeps", sweep=None, parameters={"depth": "0"})
    status = await world.until(TRAINING_JOB, "sweeps", lambda now: now["runCount"] == 2 and len(now["runs"]) == 2, "2")
    assert (status["runs"][0]["result"], status["runs"][0]["metrics"]) == ("Rejected", {"auc": "0.5"})
    assert status["artifact"]["run"] == "sweeps-1"
    assert condition(status, "Stalled", reason="Rejected")["message"].startswith("auc is 0.5, below the minimum of 0.6")


async def test_each_minute_of_the_schedule_is_one_run(world: World) -> None:
    status = await world.succeeded("hourglass", runs=3, seconds=200)

    times = [run["trigger"]["time"] for run in status["runs"] if run["trigger"]["kind"] == "Schedule"]
    assert len(times) >= 2
    assert len(set(times)) == len(times)
    assert all(time.endswith(":00Z") for time in times)
    await world.change(TRAINING_JOB, "hourglass", suspend=True)


async def poll(world: World, number: int) -> None:
    """Poll now: a CronJob's own clock has minutes, and two polls must agree."""
    await within(lambda: world.kube.get(CRON_JOB, NAMESPACE, "watches-poll"), "the CronJob is there")
    for name in (f"poll-{number}-a", f"poll-{number}-b"):
        world.site.kubectl("create", "job", name, "--from=cronjob/watches-poll", namespace=NAMESPACE)
        world.site.kubectl("wait", f"job/{name}", "--for=condition=Complete", "--timeout=300s", namespace=NAMESPACE)


async def test_new_data_starts_one_run_and_its_absence_none(world: World) -> None:
    await poll(world, 1)
    status = await world.until(TRAINING_JOB, "watches", lambda now: now.get("data"), "the inputs were polled twice")
    assert (status["data"]["files"], status["runCount"]) == (1, 1)

    world.site.s3().put_object(Bucket="data", Key="runs/set/b.csv", Body=b"22")
    await poll(world, 2)
    status = await world.succeeded("watches", runs=2)
    assert trigger(status)["kind"] == "NewData"
    assert (status["data"]["files"], status["data"]["bytes"]) == (2, 3)
    assert trigger(status)["digest"] == status["data"]["digest"]

    await world.change(TRAINING_JOB, "watches", newData=None)
    await world.gone(CRON_JOB, "watches-poll")
    assert (await world.status(TRAINING_JOB, "watches"))["runCount"] == 2


async def test_suspended_time_does_not_count_against_the_deadline(world: World) -> None:
    await world.train("timed", activeDeadlineSeconds=600, **QUICK)
    await world.condition(TRAINING_JOB, "timed", "Reconciling", "Running")
    await asyncio.sleep(3)
    await world.change(TRAINING_JOB, "timed", suspend=True)
    await world.condition(TRAINING_JOB, "timed", "Suspended", "Suspended")

    async def job_is(suspended: bool) -> Raw | None:
        (job,) = await world.children(JOB, "timed")
        return job["spec"] if job["spec"]["suspend"] is suspended else None

    left = (await within(lambda: job_is(True), "the Job is suspended"))["activeDeadlineSeconds"]
    assert 480 < left < 600
    await world.change(TRAINING_JOB, "timed", suspend=False)
    assert (await within(lambda: job_is(False), "the Job goes on"))["activeDeadlineSeconds"] == left
    await world.condition(TRAINING_JOB, "timed", "Reconciling", "Running")
    await world.change(TRAINING_JOB, "timed", suspend=True)
