"""Steps before a training, exit codes, and a namespace that takes only restricted pods, on a real node."""

import asyncio

import pytest

from perennial.core.kinds import POD, TRAINING_JOB
from tests.e2e.support.site import Site
from tests.e2e.support.world import NAMESPACE as NAMESPACE_KIND
from tests.e2e.support.world import World
from tests.support.kube import Kube

NAMESPACE = "steps"
RESTRICTED = {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}}

FIRST = "import os; os.mkdir('/perennial/work'); open('/perennial/work/a', 'w').write(os.environ['MODE'])"
SECOND = "open('/perennial/work/b', 'w').write(open('/perennial/work/a').read() * 2)"
TRAIN = "open('/perennial/output/model', 'w').write(open('/perennial/work/b').read())"


def step(name: str, code: str, **more: object) -> dict[str, object]:
    return {"name": name, "command": ["python3", "-c", code], **more}


async def start_all(site: Site) -> None:
    async with Kube.connected(site.kubeconfig) as kube:
        world = await World(site, kube, NAMESPACE).prepare()
        await kube.patch(NAMESPACE_KIND, "", NAMESPACE, RESTRICTED)
        safe = {"security": {"runAsNonRoot": True, "runAsUser": 1000}}
        steps = [step("first", FIRST, env=[{"name": "MODE", "value": "ab"}]), step("second", SECOND)]
        quiet = {"output": None, "storage": None, **safe}
        await asyncio.gather(
            world.train("steps", TRAIN, prepare=steps, sharedMemory="64Mi", **safe),
            world.train("broken", "pass", prepare=[step("bad", "raise SystemExit(4)")], **quiet),
            world.train("given-up", "raise SystemExit(2)", retry={"limit": 3, "exitCodes": {"fail": ["2"]}}, **quiet),
            world.train("only-signals", "raise SystemExit(1)", retry={"exitCodes": {"retry": ["128-255"]}}, **quiet),
            world.train("account", "pass", serviceAccountName="default", **quiet),
        )


@pytest.fixture(scope="module", autouse=True)
def _started(site: Site) -> None:
    asyncio.run(start_all(site))


async def test_steps_hand_on_what_they_made_in_a_restricted_namespace(world: World) -> None:
    artifact = (await world.succeeded("steps"))["artifact"]

    bucket, _, key = artifact["uri"].removeprefix("s3://").partition("/")
    model = world.site.s3().get_object(Bucket=bucket, Key=f"{key}model")["Body"].read()
    assert model == b"abab"


async def test_a_broken_step_is_told_apart(world: World) -> None:
    message = await world.condition(TRAINING_JOB, "broken", "Stalled", "PrepareFailed")

    assert "step bad of spec.prepare: the code ended with exit code 4" in message


@pytest.mark.parametrize("name", ["given-up", "only-signals"])
async def test_an_exit_code_ends_the_run(world: World, name: str) -> None:
    message = await world.condition(TRAINING_JOB, name, "Stalled", "TrainingFailed")

    assert "not retried: spec.retry.exitCodes." in message
    assert (await world.status(TRAINING_JOB, name))["runs"][0]["attempts"] == 1


async def test_an_account_that_is_not_listed_gets_no_pod(world: World) -> None:
    message = await world.condition(TRAINING_JOB, "account", "Stalled", "NotAllowed")

    assert "config.pods.serviceAccounts" in message
    assert await world.children(POD, "account") == []
