"""Which image is meant when the kubelet cannot pull one."""

import pytest

from perennial.api.kubernetes import Pod
from perennial.core.waiting import IMAGE_PULL_FAILED, waiting_problem

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
