"""The operator's ScaledObject on a real API server with the CRD of KEDA; KEDA itself does not run."""

import pytest

from perennial.api.modeldeployment.resource import ModelDeployment
from perennial.api.modeldeployment.revisions import Revision
from perennial.core.kinds import SCALED_OBJECT
from perennial.runtime.controller.diff import covers
from perennial.serving.children.scaled_object import scaled_object
from tests.contract.conftest import kubectl, until_established
from tests.contract.server import DATA, Server, load
from tests.support.builders import digest
from tests.support.kube import path_of
from tools.cluster import api


@pytest.fixture(scope="module")
def keda(server: Server) -> Server:
    """The server, with the kind ScaledObject."""
    crds = api.module_folder("keda") / "config" / "crd" / "bases"
    file = crds / f"{SCALED_OBJECT.group}_{SCALED_OBJECT.plural}.yaml"
    kubectl(server.kubeconfig, "apply", "--server-side", "-f", str(file))
    until_established(server.kubeconfig, f"{SCALED_OBJECT.plural}.{SCALED_OBJECT.group}")
    return server


@pytest.mark.parametrize(("bounds", "stopped"), [((0, 3), False), ((2, 2), False), ((1, 3), True)])
def test_every_form_of_the_scaled_object_is_stored_as_it_was_applied(
    keda: Server, namespace: str, bounds: tuple[int, int], stopped: bool
) -> None:
    """Defaults that the API server adds cause no further write, and no field is unknown to KEDA."""
    raw = load(DATA / "accepted" / "modeldeployment-sleeping.yaml")
    raw["metadata"] = {"name": "sleeping", "namespace": namespace, "uid": "1234"}
    resource = ModelDeployment.model_validate(raw)
    revision = Revision(
        name="sleeping-1", hash="1", digest=digest("a"), uri="s3://models/a/", since="2026-01-31T12:00:00Z"
    )
    manifest = scaled_object(resource, revision, bounds, stopped=stopped)
    answer = keda.send(
        "PATCH",
        path_of(SCALED_OBJECT, namespace, revision.name) + "?fieldManager=perennial&force=true&fieldValidation=Strict",
        manifest,
        content="application/apply-patch+yaml",
    )
    assert answer.ok, answer.message
    assert answer.warnings == ()
    assert covers(answer.body, manifest)
    assert answer.body["spec"]["triggers"][0]["authenticationRef"] == {"name": "prometheus"}
