"""Why a pod cannot start, as reported by Kubernetes: scheduling, image, configuration.

The message stays the same while the problem does, though the kubelet words each attempt differently: otherwise status
would be rewritten on every attempt. Its last words go into `Problem.detail`.
"""

import re

from perennial.api.kubernetes import ContainerStatus, Pod
from perennial.core.problem import Problem

UNSCHEDULABLE = "Unschedulable"
IMAGE_INVALID = "ImageInvalid"
IMAGE_PULL_FAILED = "ImagePullFailed"
CONTAINER_CONFIG_ERROR = "ContainerConfigError"

_PULL = frozenset({"ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "RegistryUnavailable", "ImageInspectError"})
_NAMED_IMAGE = re.compile(r'image "([^"\s]{1,512})"')
_CONFIG = frozenset({"CreateContainerConfigError", "CreateContainerError"})
_DETAIL_LIMIT = 500


def waiting_problem(pod: Pod) -> Problem | None:
    """Find what keeps a pod from starting; None if nothing does."""
    unscheduled = pod.unschedulable
    if unscheduled is not None:
        # The rest explains why preemption does not help: long, and different on each attempt.
        said = clean(unscheduled).partition(" preemption:")[0].rstrip(".")
        return Problem(
            UNSCHEDULABLE,
            f"no node fits the pod: {said}. Add nodes or free capacity, or correct spec.resources (Perennial's own "
            "containers add agent.resources of the operator's settings), spec.nodeSelector or spec.tolerations",
        )
    found = (_of_container(status) for status in pod.containers)
    return next((problem for problem in found if problem is not None), None)


def _of_container(status: ContainerStatus) -> Problem | None:
    waiting = status.state.waiting
    if waiting is None:
        return None
    said = clean(waiting.message)
    if waiting.reason == "InvalidImageName":
        return Problem(
            IMAGE_INVALID,
            f"{status.image!r} of container {status.name} is not a valid image name: correct it",
            fatal=True,
            detail=said,
        )
    if waiting.reason in _PULL:
        return Problem(
            IMAGE_PULL_FAILED,
            f"{_wanted(status, said)} cannot be pulled: check its name and tag, the registry, and "
            "spec.imagePullSecrets",
            detail=said,
        )
    if waiting.reason in _CONFIG and "runAsNonRoot" in said:
        return Problem(
            CONTAINER_CONFIG_ERROR,
            f"container {status.name} cannot be created: {said.rstrip('.')}. Set spec.security.runAsUser to the number "
            "of a user other than 0, or spec.security.runAsNonRoot: false to run as root",
            fatal=True,
        )
    if waiting.reason in _CONFIG:
        return Problem(
            CONTAINER_CONFIG_ERROR,
            f"container {status.name} cannot be created: {said.rstrip('.')}. Create the Secret or ConfigMap, or "
            "correct its "
            "name",
        )
    return None


def _wanted(status: ContainerStatus, said: str) -> str:
    """Name the image: the kubelet reports an image that a container mounts as if it were the container's own."""
    named = _NAMED_IMAGE.search(said)
    if named is None or status.image in named[1] or named[1] in status.image:
        return f"image {status.image} of container {status.name}"
    return f"image {named[1]} that container {status.name} mounts"


def clean(text: str, limit: int = _DETAIL_LIMIT) -> str:
    """Make foreign text fit for status: one line of printable characters; if too long, only its end."""
    line = " ".join("".join(character if character.isprintable() else " " for character in text).split())
    return line if len(line) <= limit else f"…{line[-(limit - 1) :]}"
