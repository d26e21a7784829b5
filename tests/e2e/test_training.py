"""TrainingJobs on a real node: what code sees and leaves, and what becomes of a run that is disturbed."""

import asyncio
import json
from hashlib import sha256
from typing import Any

import pytest

from perennial.core.kinds import JOB, POD, TRAINING_JOB, Raw
from tests.e2e.support.site import Site
from tests.e2e.support.world import NAMESPACE as NAMESPACE_KIND
from tests.e2e.support.world import SLEEP, World, condition, within
from tests.support.kube import Kube

NAMESPACE = "training"

LOOK_AROUND = """
import json, os, pathlib
seen = {k: v for k, v in os.environ.items() if k.startswith(("PERENNIAL_", "PYTHONHASHSEED", "GREETING"))}
root = pathlib.Path(os.environ["PERENNIAL_INPUTS"])
seen["files"] = sorted(str(p.relative_to(root)) for p in root.rglob("*") if p.is_file())
seen["parameters"] = json.loads(pathlib.Path("/perennial/params.json").read_text())
seen["token"] = os.path.exists("/var/run/secrets/kubernetes.io")
out = pathlib.Path(os.environ["PERENNIAL_OUTPUT"])
(out / "deep").mkdir()
(out / "deep" / "seen.json").write_text(json.dumps(seen))
(out / "empty").touch()
(out / "metrics.json").write_text(json.dumps({"auc": 0.91, "rows": 12}))
"""
ALWAYS_THE_SAME = """
import os, random
random.seed(int(os.environ["PERENNIAL_SEED"]))
open("/perennial/output/model", "w").write(" ".join(str(random.random()) for _ in range(1000)) + str(hash("word")))
"""
SECOND_TIME_LUCKY = """
import os, sys
if os.environ["PERENNIAL_ATTEMPT"] == "0": sys.exit("no luck yet")
open("/perennial/output/model", "w").write("made")
"""
RESUMES = """
import os, pathlib, signal, sys, time
folder = pathlib.Path(os.environ["PERENNIAL_CHECKPOINT"])
begun = int((folder / "step").read_text()) if (folder / "step").exists() else 0

def keep(step):
    (folder / ".step").write_text(str(step))
    (folder / ".step").rename(folder / "step")

def stop(*_):
    keep(1000)
    sys.exit(143)

if begun:
    open("/perennial/output/model", "w").write(f"went on from {begun}")
    sys.exit()
signal.signal(signal.SIGTERM, stop)
keep(1)
time.sleep(900)
"""
WRITE = "open('/perennial/output/model', 'w').write('made')"
QUICK = "pass"
"""Code that leaves nothing, for jobs without output."""


async def start_all(site: Site) -> None:
    """Start everything that needs no company, and the runs that later tests will disturb."""
    client = site.s3()
    for key in ("set/a.csv", "set/deep/b.csv", "set-other/c.csv"):
        client.put_object(Bucket="data", Key=f"training/{key}", Body=f"of {key}".encode())
    async with Kube.connected(site.kubeconfig) as kube:
        world = await World(site, kube, NAMESPACE).prepare()
        running = {"command": SLEEP, "output": None, "storage": None}
        await asyncio.gather(
            world.train(
                "sees",
                LOOK_AROUND,
                env=[{"name": "GREETING", "value": "hello $(PERENNIAL_RUN)"}],
                parameters={"max_depth": "6", "label": "$(HOME) stays"},
                seed=42,
                inputs=[{"name": "set", "uri": "s3://data/training/set/"}],
            ),
            *(world.train(name, ALWAYS_THE_SAME, seed=7) for name in ("same-a", "same-b")),
            world.train("lucky", SECOND_TIME_LUCKY, retry={"limit": 2}),
            world.train("resumes", RESUMES, checkpoint={"uri": "s3://models/training/checkpoints/", "every": "10s"}),
            world.train("late", activeDeadlineSeconds=12, **running),
            world.train("paused", suspend=True, **running),
            world.train("replaced", **running),
            world.train("ignores", **running),
            world.train("history", QUICK, output=None, storage=None, history={"runs": 2}),
            world.train("robbed", **running),
            world.train("deleted", **running),
        )


@pytest.fixture(scope="module", autouse=True)
def _started(site: Site) -> None:
    asyncio.run(start_all(site))


def manifest_of(site: Site, uri: str) -> dict[str, Any]:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return dict(json.load(site.s3().get_object(Bucket=bucket, Key=f"{key}manifest.json")["Body"]))


async def running_pod(world: World, name: str) -> Raw:
    """Return the pod of a TrainingJob once its code runs."""
    await world.condition(TRAINING_JOB, name, "Reconciling", "Running")
    (pod,) = [pod for pod in await world.children(POD, name) if "deletionTimestamp" not in pod["metadata"]]
    return pod


async def test_code_sees_what_it_was_promised_and_its_output_is_published(world: World) -> None:
    status = await world.succeeded("sees")
    run, artifact = status["runs"][0], status["artifact"]
    assert run["metrics"] == {"auc": "0.91", "rows": "12"}
    assert run["parameters"] == {"max_depth": "6", "label": "$(HOME) stays"}
    assert "@sha256:" in run["imageDigest"] or run["imageDigest"].startswith("sha256:")
    assert run["trigger"] == {"kind": "Created", "chain": "sees-1"}
    assert artifact["digest"] == run["artifactDigest"]

    manifest = manifest_of(world.site, artifact["uri"])
    assert manifest["digest"] == artifact["digest"]
    assert [entry["path"] for entry in manifest["files"]] == ["deep/seen.json", "empty", "metrics.json"]
    assert [(item["name"], [file["path"] for file in item["files"]]) for item in manifest["inputs"]] == [
        ("set", ["a.csv", "deep/b.csv"])
    ]
    assert status["runs"][0]["inputs"][0]["digest"] == manifest["inputs"][0]["digest"]
    bucket, _, key = artifact["uri"].removeprefix("s3://").partition("/")
    found = world.site.s3().get_object(Bucket=bucket, Key=f"{key}deep/seen.json")["Body"].read()
    assert sha256(found).hexdigest() == manifest["files"][0]["sha256"]
    seen = json.loads(found)
    assert seen["files"] == ["set/a.csv", "set/deep/b.csv"]
    assert seen["parameters"] == run["parameters"]
    assert (seen["PERENNIAL_PARAM_MAX_DEPTH"], seen["PERENNIAL_PARAM_LABEL"]) == ("6", "$(HOME) stays")
    assert (seen["PERENNIAL_SEED"], seen["PYTHONHASHSEED"]) == ("42", "42")
    assert (seen["PERENNIAL_RUN"], seen["GREETING"]) == ("sees-1", "hello sees-1")
    assert not seen["token"]
    assert condition(status, "Ready", "True", "RunSucceeded")
    assert not condition(status, "Reconciling")


@pytest.mark.parametrize("user", [0, 1000])
async def test_files_that_only_their_owner_may_read_are_published(world: World, user: int) -> None:
    path = "/perennial/output/model.safetensors"
    code = f"import os; open('{path}', 'w').write('weights'); os.chmod('{path}', 0o600)"
    await world.train(f"private-{user}", code, security={"runAsUser": user})
    status = await world.succeeded(f"private-{user}")
    assert status["artifact"]["digest"].startswith("sha256:")


async def test_the_same_seed_gives_the_same_digest(world: World) -> None:
    one, other = await world.succeeded("same-a"), await world.succeeded("same-b")
    assert one["artifact"]["digest"] == other["artifact"]["digest"]
    assert one["artifact"]["uri"] != other["artifact"]["uri"]


async def test_a_failed_attempt_is_repeated(world: World) -> None:
    status = await world.succeeded("lucky")
    assert status["runs"][0]["attempts"] == 2
    assert [job["metadata"]["name"] for job in await world.children(JOB, "lucky")][-1:] == ["lucky-1-1"]


async def test_a_run_ends_at_its_deadline(world: World) -> None:
    message = await world.condition(TRAINING_JOB, "late", "Stalled", "DeadlineExceeded")
    assert "activeDeadlineSeconds" in message
    assert (await world.status(TRAINING_JOB, "late"))["phase"] == "Failed"


async def test_suspending_takes_the_pods_away_and_resuming_brings_them_back(world: World) -> None:
    await world.until(TRAINING_JOB, "paused", lambda now: condition(now, "Suspended"), "it is suspended")
    assert await world.children(POD, "paused") == []
    await world.change(TRAINING_JOB, "paused", suspend=False)
    pod = await running_pod(world, "paused")
    await world.change(TRAINING_JOB, "paused", suspend=True)
    await world.gone(POD, pod["metadata"]["name"])
    assert (await world.status(TRAINING_JOB, "paused"))["phase"] == "Suspended"
    await world.change(TRAINING_JOB, "paused", suspend=False)
    again = await running_pod(world, "paused")
    assert again["metadata"]["uid"] != pod["metadata"]["uid"]
    status = await world.status(TRAINING_JOB, "paused")
    assert (status["runCount"], status["currentRun"]["failures"]) == (1, 0)


async def test_a_changed_spec_replaces_the_run(world: World) -> None:
    pod = await running_pod(world, "replaced")
    await world.change(TRAINING_JOB, "replaced", command=["python3", "-c", QUICK])
    status = await world.succeeded("replaced", runs=2)
    assert [(run["name"], run["result"]) for run in status["runs"]] == [
        ("replaced-2", "Succeeded"),
        ("replaced-1", "Replaced"),
    ]
    assert status["runs"][0]["trigger"]["kind"] == "SpecChanged"
    await world.gone(POD, pod["metadata"]["name"])


async def test_a_changed_spec_waits_for_the_run_that_is_under_way(world: World) -> None:
    await world.train("waits", "import time; time.sleep(10)", onChange="Wait", output=None, storage=None)
    await running_pod(world, "waits")
    await world.change(TRAINING_JOB, "waits", command=["python3", "-c", QUICK])
    status = await world.succeeded("waits", runs=2)
    assert [run["result"] for run in status["runs"]] == ["Succeeded", "Succeeded"]


async def test_a_changed_spec_is_ignored_when_asked(world: World) -> None:
    before = await running_pod(world, "ignores")
    await world.change(TRAINING_JOB, "ignores", onChange="Ignore", parameters={"other": "1"})
    generation = (await world.kube.get(TRAINING_JOB, NAMESPACE, "ignores") or {})["metadata"]["generation"]
    status = await world.until(
        TRAINING_JOB, "ignores", lambda now: now["observedGeneration"] == generation, "the change has been seen"
    )
    assert status["currentRun"]["name"] == "ignores-1"
    assert (await running_pod(world, "ignores"))["metadata"]["uid"] == before["metadata"]["uid"]


async def newest_run(world: World, number: int) -> Raw:
    def ended(now: Raw) -> bool:
        return [run["number"] for run in now.get("runs", ())[:1]] == [number]

    return await world.until(TRAINING_JOB, "history", ended, f"run {number} has ended")


async def test_only_so_many_runs_are_remembered(world: World) -> None:
    for number in range(1, 4):
        await newest_run(world, number)
        await world.change(TRAINING_JOB, "history", parameters={"round": str(number)})
    status = await newest_run(world, 4)
    assert [run["number"] for run in status["runs"]] == [4, 3]

    async def jobs() -> bool:
        found = [job["metadata"]["name"] for job in await world.children(JOB, "history")]
        return found == ["history-3-0", "history-4-0"]

    await within(jobs, "the Jobs of forgotten runs are gone")


async def test_a_job_deleted_by_hand_is_made_again_and_does_not_count(world: World) -> None:
    pod = await running_pod(world, "robbed")
    await world.kube.delete(JOB, NAMESPACE, "robbed-1-0")
    await world.until(TRAINING_JOB, "robbed", lambda now: now["currentRun"]["disruptions"] == 1, "it has been noticed")
    await world.gone(POD, pod["metadata"]["name"])
    again = await running_pod(world, "robbed")
    assert again["metadata"]["uid"] != pod["metadata"]["uid"]
    run = (await world.status(TRAINING_JOB, "robbed"))["currentRun"]
    assert (run["failures"], run["disruptions"]) == (0, 1)
    assert "JobDeleted" in await world.events("robbed")


async def test_a_run_whose_pod_is_taken_away_goes_on_from_its_last_checkpoint(world: World) -> None:
    def is_kept(now: Raw) -> bool:
        return bool(now.get("currentRun", {}).get("checkpoint", {}).get("time"))

    status = await world.until(TRAINING_JOB, "resumes", is_kept, "a checkpoint is in the storage")
    assert "resumedFrom" not in status["currentRun"]["checkpoint"], "it has started from the beginning"
    await world.kube.delete(POD, NAMESPACE, (await running_pod(world, "resumes"))["metadata"]["name"])

    status = await world.succeeded("resumes")
    assert status["runs"][0]["attempts"] == 2
    bucket, _, key = status["artifact"]["uri"].removeprefix("s3://").partition("/")
    found = world.site.s3().get_object(Bucket=bucket, Key=f"{key}model")["Body"].read()
    assert found == b"went on from 1000", "what the code kept when it was told to stop"


async def test_a_trainingjob_deleted_while_it_runs_leaves_nothing(world: World) -> None:
    await running_pod(world, "deleted")
    await world.kube.delete(TRAINING_JOB, NAMESPACE, "deleted")
    await world.gone(TRAINING_JOB, "deleted")

    async def nothing() -> bool:
        return not await world.children(JOB, "deleted") and not await world.children(POD, "deleted")

    await within(nothing, "its Jobs and pods are gone")


async def test_a_namespace_deleted_while_a_run_is_under_way_goes(world: World, kube: Kube, site: Site) -> None:
    other = await World(site, kube, f"{NAMESPACE}-doomed").prepare()
    await other.train("under-way", command=SLEEP)
    await running_pod(other, "under-way")
    await kube.delete(NAMESPACE_KIND, None, other.namespace)

    async def gone() -> bool:
        return other.namespace not in {item["metadata"]["name"] for item in await kube.list(NAMESPACE_KIND)}

    await within(gone, "the namespace is gone", 90)
    await world.train("afterwards", QUICK, output=None, storage=None)
    await world.succeeded("afterwards")
