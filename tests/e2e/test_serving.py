"""ModelDeployments on a real node: a bad candidate never gets traffic, the old one answers all along, and scaling."""

import asyncio
import json
from typing import Any
from urllib import request

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from perennial.core.kinds import AUTOSCALER, DEPLOYMENT, DISRUPTION_BUDGET, MODEL_DEPLOYMENT, POD, SERVICE, Raw
from tests.e2e.support.flaky import FlakyProxy
from tests.e2e.support.versions import publish, serving
from tests.e2e.support.world import SECRET, STORAGE_FIELD, World, condition, within

NAMESPACE = "serving"


def answer(address: str) -> str:
    """Return what the Service answers, asked from this machine."""
    with request.urlopen(f"http://{address}/model", timeout=20) as found:
        return str(found.read().decode())


async def address_of(world: World, name: str) -> str:
    service = await world.kube.get(SERVICE, NAMESPACE, name) or {}
    return str(service["spec"]["clusterIP"])


async def stable(world: World, name: str, digest: str) -> Raw:
    return await world.until(
        MODEL_DEPLOYMENT,
        name,
        lambda now: now.get("stable", {}).get("digest") == digest and not now.get("candidate"),
        f"{digest} serves",
    )


def key_pair() -> tuple[str, str]:
    """Make a private and a public key, as PEM."""
    private = ec.generate_private_key(ec.SECP256R1())
    secret = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return secret.decode(), private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


async def test_a_version_signed_by_its_run_serves_and_one_without_a_signature_does_not(world: World) -> None:
    private, public = key_pair()
    secret = {"metadata": {"name": "signing"}, "stringData": {"signing.pem": private}}
    await world.kube.create(SECRET, NAMESPACE, secret)
    sign = {"keySecret": {"name": "signing", "key": "signing.pem"}}
    code = "open('/perennial/output/model', 'w').write('signed')"
    await world.train("signed", code, output={"uri": "s3://models/serving/signed/", "sign": sign})
    artifact = (await world.succeeded("signed"))["artifact"]

    verify = {"verify": {"publicKey": public}}
    spec = serving(world.site, artifact["uri"], artifact["digest"])
    await world.serve("signed", **{**spec, "model": {**spec["model"], **verify}}, replicas={"min": 1})
    await stable(world, "signed", artifact["digest"])
    address = await address_of(world, "signed")
    assert await asyncio.to_thread(answer, address) == "signed"

    digest = publish(world.site, "serving/unsigned/", {"model": b"unsigned"})
    model = {"uri": "s3://models/serving/unsigned/", "digest": digest}
    await world.change(MODEL_DEPLOYMENT, "signed", model=model)
    message = await world.condition(MODEL_DEPLOYMENT, "signed", "RolloutFailed", "SignatureMissing")
    assert "model.sig" in message
    assert condition(await world.status(MODEL_DEPLOYMENT, "signed"), "Ready", "True", "Serving")
    assert await asyncio.to_thread(answer, address) == "signed"


async def test_a_bad_candidate_gets_no_traffic_and_the_old_one_answers(world: World) -> None:
    first = publish(world.site, "serving/first/", {"model": b"first"})
    second = publish(world.site, "serving/second/", {"model": b"second"})
    tampered = publish(world.site, "serving/tampered/", {"model": b"third"})
    world.site.s3().put_object(Bucket="models", Key="serving/tampered/model", Body=b"thirt")
    good = serving(world.site, "s3://models/serving/first/", first)
    await world.serve("shop", **good, rollout={"keepPrevious": "2s"})
    status = await stable(world, "shop", first)
    assert status["url"].startswith("http://shop.serving.svc")
    address = await address_of(world, "shop")
    assert await asyncio.to_thread(answer, address) == "first"
    assert await world.kube.get(DISRUPTION_BUDGET, NAMESPACE, "shop")

    answers: list[str] = []
    asking = asyncio.create_task(ask_on(address, answers))
    await world.change(MODEL_DEPLOYMENT, "shop", model={"uri": "s3://models/serving/tampered/", "digest": tampered})
    message = await world.condition(MODEL_DEPLOYMENT, "shop", "RolloutFailed", "DigestMismatch")
    assert "publish again" in message
    assert condition(await world.status(MODEL_DEPLOYMENT, "shop"), "Ready", "True", "Serving")

    crashing: dict[str, Any] = {"container": {**good["runtime"]["container"], "command": ["/no/such/server"]}}
    await world.change(MODEL_DEPLOYMENT, "shop", model=good["model"], runtime=crashing)
    await world.condition(MODEL_DEPLOYMENT, "shop", "RolloutFailed", "CommandNotFound")
    assert set(answers) == {"first"}

    await world.change(
        MODEL_DEPLOYMENT,
        "shop",
        model={"uri": "s3://models/serving/second/", "digest": second},
        runtime=good["runtime"],
    )
    status = await stable(world, "shop", second)
    assert not condition(status, "RolloutFailed")
    assert [entry["result"] for entry in status["history"]][:4] == ["Promoted", "Failed", "Failed", "Promoted"]

    async def second_answers() -> bool:
        return answers[-1:] == ["second"]

    await within(second_answers, "the second answers", 30)
    asking.cancel()
    assert [answer for number, answer in enumerate(answers) if answers[number - 1 : number] != [answer]] == [
        "first",
        "second",
    ]


async def ask_on(address: str, answers: list[str]) -> None:
    """Ask again and again; what fails ends the list with its words."""
    while True:
        try:
            answers.append(await asyncio.to_thread(answer, address))
        except OSError as error:
            answers.append(f"failed: {error}")
        await asyncio.sleep(0.2)


async def test_kubectl_scale_reaches_the_pods(world: World) -> None:
    digest = publish(world.site, "serving/scaled/", {"model": b"scaled"})
    await world.serve("scaled", **serving(world.site, "s3://models/serving/scaled/", digest))
    status = await stable(world, "scaled", digest)
    world.site.kubectl("scale", "modeldeployment/scaled", "--replicas=2", namespace=NAMESPACE)
    await world.until(MODEL_DEPLOYMENT, "scaled", lambda now: now.get("readyReplicas") == 2, "two pods answer")
    deployment = await world.kube.get(DEPLOYMENT, NAMESPACE, status["stable"]["name"]) or {}
    assert deployment["spec"]["replicas"] == 2
    assert await world.kube.list(AUTOSCALER, NAMESPACE) == []
    scale = json.loads(
        world.site.kubectl("get", "modeldeployment/scaled", "--subresource=scale", "-o", "json", namespace=NAMESPACE)
    )
    assert (scale["spec"]["replicas"], scale["status"]["replicas"]) == (2, 2)


async def test_a_candidate_that_is_never_ready_fails_by_its_deadline_and_the_way_back_is_open(world: World) -> None:
    first = publish(world.site, "serving/early/", {"model": b"early"})
    second = publish(world.site, "serving/late/", {"model": b"late"})
    good = serving(world.site, "s3://models/serving/early/", first)
    await world.serve("slow", **good, rollout={"progressDeadlineSeconds": 15})
    await stable(world, "slow", first)
    address = await address_of(world, "slow")

    deaf: dict[str, Any] = {"container": {**good["runtime"]["container"], "command": ["sleep", "600"]}}
    await world.change(
        MODEL_DEPLOYMENT, "slow", model={"uri": "s3://models/serving/late/", "digest": second}, runtime=deaf
    )
    message = await world.condition(MODEL_DEPLOYMENT, "slow", "RolloutFailed", "ProgressDeadlineExceeded")
    assert "not ready within 15 s" in message
    assert await asyncio.to_thread(answer, address) == "early"

    # Back to what serves: the failed candidate is forgotten, and nothing is rolled out.
    await world.change(MODEL_DEPLOYMENT, "slow", model=good["model"], runtime=good["runtime"])
    status = await world.until(
        MODEL_DEPLOYMENT, "slow", lambda now: not now.get("candidate"), "the failed candidate is forgotten"
    )
    assert status["stable"]["digest"] == first
    assert not condition(status, "RolloutFailed")
    assert await asyncio.to_thread(answer, address) == "early"


async def test_predictions_are_answered_while_the_storage_of_their_capture_is_away(world: World) -> None:
    digest = publish(world.site, "serving/watched/", {"model": b"watched"})
    upstream = world.site.kubectl("get", "service", "s3", "-o", "jsonpath={.spec.clusterIP}", namespace="storage")
    with FlakyProxy(world.site.cluster.host_address, (upstream, 7070), budget=2**40, broken=0).running() as proxy:
        await world.serve(
            "watched",
            **serving(world.site, "s3://models/serving/watched/", digest),
            storage={**STORAGE_FIELD, "endpoint": proxy.endpoint},
            capture={"uri": "s3://capture/serving/watched/", "every": "10s"},
        )
        await stable(world, "watched", digest)
        address = await address_of(world, "watched")
        assert await asyncio.to_thread(answer, address) == "watched"

    answers = [await asyncio.to_thread(answer, address) for _ in range(50)]
    await asyncio.sleep(12)  # by now the capture has tried to write
    answers += [await asyncio.to_thread(answer, address) for _ in range(50)]

    assert set(answers) == {"watched"}
    assert condition(await world.status(MODEL_DEPLOYMENT, "watched"), "Ready", "True", "Serving")
    (pod,) = await world.children(POD, "watched", "ModelDeployment")
    assert [item["restartCount"] for item in pod["status"]["containerStatuses"]] == [0] * len(
        pod["status"]["containerStatuses"]
    )
