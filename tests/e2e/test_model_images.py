"""A model that comes in an OCI image: the node mounts it, the agent looks at it, and the server reads it."""

import asyncio
import json
import pickle
import tarfile
from pathlib import Path
from typing import Any
from urllib import request

from perennial.core.kinds import MODEL_DEPLOYMENT, SERVICE
from tests.e2e.support.site import Site
from tests.e2e.support.world import World
from tools.cluster import api
from tools.cluster.ociarchive import write_archive

NAMESPACE = "images"


def load(site: Site, folder: Path, name: str, data: bytes) -> dict[str, str]:
    """Put an image with one file on the node, under its digest; return what names it in a spec."""
    file, archive = folder / "model", folder / f"{name}.tar"
    file.write_bytes(data)
    write_archive(file, file.name, f"localhost/{name}:1", archive)
    with tarfile.open(archive) as tar:
        index: Any = json.load(tar.extractfile("index.json") or tar)
    reference = f"localhost/{name}@{index['manifests'][0]['digest']}"
    # The name is no part of the manifest, so the digest stays the same.
    write_archive(file, file.name, reference, archive)
    api.load_image(site.cluster.name, archive)
    return {"reference": reference, "pullPolicy": "Never"}


def answer(address: str) -> bytes:
    with request.urlopen(f"http://{address}/model", timeout=20) as found:
        return bytes(found.read())


async def test_a_model_in_an_image_is_served_unless_it_is_a_pickle(world: World, tmp_path: Path) -> None:
    site = world.site
    good = load(site, tmp_path, "model-good", b"weights")
    bad = load(site, tmp_path, "model-bad", pickle.dumps({"a": 1}))
    server = {"image": site.demo.name, "command": ["python3", "-m", "http.server", "8080", "-d", "/mnt/models"]}
    await world.serve("pictures", model={"image": good}, runtime={"container": server})
    status = await world.until(MODEL_DEPLOYMENT, "pictures", lambda now: now.get("stable"), "it serves")
    assert status["stable"]["uri"] == f"oci://{good['reference']}"
    assert good["reference"].endswith(status["stable"]["digest"])
    service = await world.kube.get(SERVICE, NAMESPACE, "pictures") or {}
    assert await asyncio.to_thread(answer, service["spec"]["clusterIP"]) == b"weights"

    missing = {**good, "reference": f"localhost/model-missing@sha256:{'0' * 64}"}
    await world.change(MODEL_DEPLOYMENT, "pictures", model={"image": missing})
    said = await world.condition(MODEL_DEPLOYMENT, "pictures", "Progressing", "ImagePullFailed")
    assert f"image {missing['reference']} that container fetch mounts cannot be pulled" in said

    await world.change(MODEL_DEPLOYMENT, "pictures", model={"image": bad})
    said = await world.condition(MODEL_DEPLOYMENT, "pictures", "RolloutFailed", "PickleRefused")
    assert "model: contains a pickle" in said
    assert await asyncio.to_thread(answer, service["spec"]["clusterIP"]) == b"weights"
