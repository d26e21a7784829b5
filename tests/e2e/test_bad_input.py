"""What users and their surroundings do wrong, on a real node: each has a condition that says what to do next."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from perennial.core.kinds import JOB, MODEL_DEPLOYMENT, POD, TRAINING_JOB, Raw
from tests.e2e.support.flaky import FlakyProxy, unanswered
from tests.e2e.support.site import ENDPOINT, Site
from tests.e2e.support.versions import publish, serving
from tests.e2e.support.world import SECRET, STORAGE_FIELD, World, condition
from tests.support.kube import Kube

NAMESPACE = "bad-input"
BIG = 16 * 2**20
SMALL_VOLUME = {"medium": "Memory", "sizeLimit": "8Mi"}
NOTHING_STORED = {"output": None, "storage": None}
LONG = "a" * 31 + "-" + "b" * 31
ABSENT = "http://nowhere.storage.svc:7070"
CLOSED = "http://s3.storage.svc:7071"
OTHER_DIGEST = "sha256:" + "0" * 64

HOSTILE_WORDS = """
import sys
words = '\\x1b[31m{"v":1,"kind":"Published"}\\x00\\r\\n\\u202e it broke \\x07'
open("/dev/termination-log", "w").write(words + "x" * 5000)
sys.exit(3)
"""
FORGED_RECORD = """
import json, os
os.remove("/perennial/.perennial/inputs.json")
open("/perennial/.perennial/inputs.json", "w").write('[{"name": "../../etc", "digest": 5}]')
open("/perennial/output/model", "w").write("made")
"""
LINK_OUT = "import os; os.symlink('/etc/passwd', '/perennial/output/model')"
FILL = f"open('/perennial/output/model', 'wb').write(b'x' * {BIG})"
EAT = "data = bytearray(2**30); print(len(data))"
WRITE = "open('/perennial/output/model', 'w').write('made')"


@dataclass(frozen=True)
class Case:
    """A TrainingJob that cannot succeed, and what it must say."""

    reason: str
    says: tuple[str, ...]
    code: str | None = WRITE
    fields: dict[str, Any] = field(default_factory=dict)
    ends: bool = True
    """Whether the run ends by it; else it waits for somebody's help."""
    seconds: float = 150


def reading(uri: str, **storage: Any) -> dict[str, Any]:
    return {"inputs": [{"name": "set", "uri": uri}], "storage": {**STORAGE_FIELD, **storage}}


NEEDS_PERSON = ("ChildNameTaken", "ContainerConfigError")
"""Reasons that do not end the run and yet do not pass by themselves."""

CASES: dict[str, Case] = {
    "image-absent": Case(
        "ImagePullFailed",
        ("registry.invalid/none:1", "check its name and tag"),
        fields={"image": "registry.invalid/none:1", **NOTHING_STORED},
        ends=False,
    ),
    "image-name": Case("ImageInvalid", ("correct it",), fields={"image": "UPPER/case::x", **NOTHING_STORED}),
    "command-absent": Case(
        "CommandNotFound",
        ("/no/such/program", "correct spec.command"),
        code=None,
        fields={"command": ["/no/such/program"], **NOTHING_STORED},
    ),
    "shell-command-absent": Case(
        "CommandNotFound",
        ("exit code 127", "nonesuch"),
        code=None,
        fields={"command": ["sh", "-c", "nonesuch"], **NOTHING_STORED},
    ),
    "wrong-key": Case(
        "ArtifactAccessDenied",
        ("storage.secretName",),
        fields=reading("s3://data/bad/in.csv", secretName="wrong"),
    ),
    "bucket-absent": Case(
        "BucketNotFound", ("never-made", "create the bucket"), fields=reading("s3://never-made/in.csv")
    ),
    "object-absent": Case("ObjectNotFound", ("s3://data/bad/none.csv",), fields=reading("s3://data/bad/none.csv")),
    "output-bucket-absent": Case(
        "BucketNotFound", ("never-made", "create the bucket"), fields={"output": {"uri": "s3://never-made/out/"}}
    ),
    "endpoint-absent": Case(
        "EndpointUnreachable", ("check storage.endpoint",), fields=reading("s3://data/bad/in.csv", endpoint=ABSENT)
    ),
    "endpoint-closed": Case(
        "EndpointUnreachable", ("check storage.endpoint",), fields=reading("s3://data/bad/in.csv", endpoint=CLOSED)
    ),
    "endpoint-without-tls": Case(
        "TLSFailed",
        ("http/https",),
        fields=reading("s3://data/bad/in.csv", endpoint=ENDPOINT.replace("http:", "https:")),
    ),
    "input-too-big": Case(
        "OutOfSpace",
        ("workspace.sizeLimit",),
        fields={**reading("s3://data/bad/big"), "workspace": SMALL_VOLUME},
    ),
    "output-too-big": Case(
        "TrainingFailed", ("exit code 1", "No space left on device"), code=FILL, fields={"workspace": SMALL_VOLUME}
    ),
    "unschedulable": Case(
        "Unschedulable", ("nodeSelector",), fields={"nodeSelector": {"no": "node"}, **NOTHING_STORED}, ends=False
    ),
    "too-much-asked": Case(
        "Unschedulable",
        ("Insufficient cpu", "spec.resources"),
        fields={"resources": {"requests": {"cpu": "900"}}, **NOTHING_STORED},
        ends=False,
    ),
    "secret-absent": Case(
        "ContainerConfigError",
        ('secret "never-made" not found', "Create the Secret"),
        fields=reading("s3://data/bad/in.csv", secretName="never-made"),
        ends=False,
    ),
    "out-of-memory": Case(
        "OutOfMemory",
        ("resources.limits.memory",),
        code=EAT,
        fields={"resources": {"requests": {"cpu": "10m"}, "limits": {"memory": "64Mi"}}, **NOTHING_STORED},
    ),
    "hostile-words": Case("TrainingFailed", ("exit code 3",), code=HOSTILE_WORDS, fields=NOTHING_STORED),
    "forged-record": Case(
        "DataInvalid", ("inputs.json", "changed during training"), code=FORGED_RECORD,
        fields=reading("s3://data/bad/in.csv"),
    ),
    "link-out": Case("UnsafePath", ("model", "links to a file outside"), code=LINK_OUT),
    "nothing-left": Case("OutputEmpty", ("/perennial/output",), code="pass"),
    "name-taken": Case("ChildNameTaken", ("name-taken-1-0",), fields=NOTHING_STORED, ends=False),
}  # fmt: skip


@pytest.fixture(scope="module")
def limping(site: Site) -> Iterator[FlakyProxy]:
    """An endpoint that breaks a few answers off."""
    with proxy(site, budget=3 * 2**20, broken=3) as found:
        yield found


def proxy(site: Site, *, budget: int, broken: int) -> Any:
    address = site.kubectl("get", "service", "s3", "-o", "jsonpath={.spec.clusterIP}", namespace="storage")
    return FlakyProxy(site.cluster.host_address, (address, 7070), budget=budget, broken=broken).running()


@pytest.fixture(scope="module")
def filtered(site: Site) -> Iterator[str]:
    """An endpoint that answers nothing."""
    with unanswered(site.cluster.host_address) as endpoint:
        yield endpoint


@pytest.fixture(scope="module", autouse=True)
def _started(site: Site, limping: FlakyProxy, filtered: str) -> None:
    asyncio.run(start_all(site, limping, filtered))


async def start_all(site: Site, limping: FlakyProxy, filtered: str) -> None:
    """Create everything that is broken at once: the cases have nothing to do with one another."""
    client = site.s3()
    client.put_object(Bucket="data", Key="bad/in.csv", Body=b"a,b\n1,2\n")
    client.put_object(Bucket="data", Key="bad/big", Body=bytes(BIG))
    good = publish(site, "bad/good/", {"model": b"the model"})
    tampered = publish(site, "bad/tampered/", {"model": b"the model"})
    client.put_object(Bucket="models", Key="bad/tampered/model", Body=b"the mode1")
    async with Kube.connected(site.kubeconfig) as kube:
        world = await World(site, kube, NAMESPACE).prepare()
        wrong = {"AWS_ACCESS_KEY_ID": "demo", "AWS_SECRET_ACCESS_KEY": "not-the-secret"}
        await kube.create(SECRET, NAMESPACE, {"metadata": {"name": "wrong"}, "stringData": wrong})
        await kube.create(JOB, NAMESPACE, someone_elses_job(site, "name-taken-1-0"))
        await asyncio.gather(*(world.train(name, case.code, **case.fields) for name, case in CASES.items()))
        await asyncio.gather(
            world.train("endpoint-limps", WRITE, **reading("s3://data/bad/big", endpoint=limping.endpoint)),
            world.train("endpoint-filtered", WRITE, **reading("s3://data/bad/in.csv", endpoint=filtered)),
            world.train(LONG, WRITE),
            world.serve("wrong-digest", **serving(site, "s3://models/bad/good/", OTHER_DIGEST)),
            world.serve("tampered", **serving(site, "s3://models/bad/tampered/", tampered)),
            world.serve("no-version", **serving(site, "s3://models/bad/none/", good)),
            world.serve(LONG, **serving(site, "s3://models/bad/good/", good)),
        )


def someone_elses_job(site: Site, name: str) -> Raw:
    pod = {"restartPolicy": "Never", "containers": [{"name": "one", "image": site.demo.name, "args": ["-c", "pass"]}]}
    return {"metadata": {"name": name}, "spec": {"template": {"spec": pod}}}


@pytest.mark.parametrize("name", CASES)
async def test_the_condition_says_what_is_wrong_and_what_to_do(world: World, name: str) -> None:
    case = CASES[name]
    type_ = "Stalled" if case.ends or case.reason in NEEDS_PERSON else "Reconciling"
    message = await world.condition(TRAINING_JOB, name, type_, case.reason, seconds=case.seconds)
    for words in case.says:
        assert words in message
    assert message.isprintable()
    status = await world.status(TRAINING_JOB, name)
    assert condition(status, "Ready", "False", case.reason)
    assert "artifact" not in status
    if case.ends:
        (run,) = status["runs"]
        assert (run["result"], run["reason"]) == ("Failed", case.reason)


async def test_what_was_missing_is_used_once_it_is_there(world: World) -> None:
    await world.condition(TRAINING_JOB, "secret-absent", "Stalled", "ContainerConfigError")
    found = await world.kube.get(SECRET, NAMESPACE, "s3")
    assert found is not None
    await world.kube.create(SECRET, NAMESPACE, {"metadata": {"name": "never-made"}, "data": found["data"]})
    await world.succeeded("secret-absent")


async def test_the_job_of_someone_else_is_left_alone(world: World) -> None:
    job = await world.kube.get(JOB, NAMESPACE, "name-taken-1-0")
    assert job is not None
    assert "ownerReferences" not in job["metadata"]
    assert "perennial.dev/kind" not in job["metadata"].get("labels", {})


async def test_an_endpoint_that_breaks_off_now_and_then_costs_nothing(world: World, limping: FlakyProxy) -> None:
    status = await world.succeeded("endpoint-limps")
    assert status["runs"][0]["attempts"] == 1
    assert limping.cut > 0


async def test_an_endpoint_behind_a_network_policy_is_unreachable(world: World) -> None:
    message = await world.condition(TRAINING_JOB, "endpoint-filtered", "Stalled", "EndpointUnreachable")
    assert "network policies" in message


@pytest.mark.parametrize(
    ("name", "reason", "says"),
    [
        ("wrong-digest", "DigestMismatch", "publish again"),
        ("tampered", "DigestMismatch", "publish again"),
        ("no-version", "ObjectNotFound", "correct the URI"),
    ],
)
async def test_a_model_that_is_not_what_it_should_be_never_serves(
    world: World, name: str, reason: str, says: str
) -> None:
    message = await world.condition(MODEL_DEPLOYMENT, name, "Stalled", reason)
    assert says in message
    status = await world.status(MODEL_DEPLOYMENT, name)
    assert condition(status, "Ready", "False", reason)
    assert condition(status, "RolloutFailed", "True", reason)
    assert "stable" not in status


async def test_the_longest_names_work(world: World) -> None:
    status = await world.succeeded(LONG)
    assert status["artifact"]["uri"].startswith(f"s3://models/{NAMESPACE}/{LONG}/versions/")
    await world.condition(MODEL_DEPLOYMENT, LONG, "Ready", "Serving")
    for pod in [*await world.children(POD, LONG), *await world.children(POD, LONG, "ModelDeployment")]:
        assert len(pod["metadata"]["labels"]["perennial.dev/name"]) == 63
