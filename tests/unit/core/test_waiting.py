"""Which image is meant when the kubelet cannot pull one."""

import pytest

from perennial.api.kubernetes import Pod
from perennial.core.waiting import CONTAINER_CONFIG_ERROR, IMAGE_PULL_FAILED, waiting_problem

VOLUME = "registry.example/model@sha256:" + "e" * 64


@pytest.mark.parametrize(
    ("reason", "message", "said"),
    [
        ("ImagePullBackOff", 'Back-off pulling image "docker.io/library/own:1": no', "image own:1 of container fetch"),
        ("ErrImagePull", "rpc error: not found", "image own:1 of container fetch"),
        (
            "ErrImagePull",
            f'failed to pull and unpack image "{VOLUME}": no',
            f"image {VOLUME} that container fetch mounts",
        ),
        (
            "ErrImageNeverPull",
            f'Container image "{VOLUME}" is not present with pull policy of Never',
            f"image {VOLUME} that container fetch mounts",
        ),
    ],
)
def test_the_image_of_a_volume_is_named(reason: str, message: str, said: str) -> None:
    waiting = {"waiting": {"reason": reason, "message": message}}
    statuses = [{"name": "fetch", "image": "own:1", "state": waiting}]
    cause = waiting_problem(
        Pod.model_validate({"metadata": {"name": "p"}, "status": {"initContainerStatuses": statuses}})
    )
    assert cause is not None
    assert cause.reason == IMAGE_PULL_FAILED
    assert cause.message.startswith(f"{said} cannot be pulled")


@pytest.mark.parametrize(
    "said",
    [
        "container has runAsNonRoot and image will run as root (pod: x, container: train)",
        "container has runAsNonRoot and image has non-numeric user (mlserver), cannot verify user is non-root",
    ],
)
def test_an_image_that_must_not_run_as_root_names_the_field_that_allows_it(said: str) -> None:
    waiting = {"waiting": {"reason": "CreateContainerConfigError", "message": said}}
    statuses = [{"name": "train", "image": "own:1", "state": waiting}]
    cause = waiting_problem(Pod.model_validate({"metadata": {"name": "p"}, "status": {"containerStatuses": statuses}}))
    assert cause is not None
    assert (cause.reason, cause.fatal) == (CONTAINER_CONFIG_ERROR, True)
    assert "spec.security.runAsUser" in cause.message
    assert "spec.security.runAsNonRoot: false" in cause.message
