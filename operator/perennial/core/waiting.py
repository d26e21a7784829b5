"""Why a pod does not get on, as far as Kubernetes itself says: image, schedule, configuration.

Messages stay the same while the cause does, though the kubelet words each try anew: a status that followed its every
word would be written again and again.
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
    """Return why the pod cannot start, or None when nothing keeps it from starting."""
    unscheduled = pod.unschedulable
    if unscheduled is not None:
        # What follows is why preempting others does not help either: long, and different from try to try.
        said = clean(unscheduled).partition(" preemption:")[0].rstrip(".")
        return Problem(
            UNSCHEDULABLE,
            f"no node can take the pod: {said}. Free or add nodes, or correct spec.resources, spec.nodeSelector or "
            "spec.tolerations",
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
            f"{status.image!r} of container {status.name} is not the name of an image: correct it",
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
    if waiting.reason in _CONFIG:
        return Problem(
            CONTAINER_CONFIG_ERROR,
            f"container {status.name} cannot be made: {said}. Create the Secret or ConfigMap that it names, or correct "
            "the name",
        )
    return None


def _wanted(status: ContainerStatus, said: str) -> str:
    """Return what image is meant: the kubelet tells of one that a container mounts as if it were its own."""
    named = _NAMED_IMAGE.search(said)
    if named is None or status.image in named[1] or named[1] in status.image:
        return f"image {status.image} of container {status.name}"
    return f"image {named[1]} that container {status.name} mounts"


def clean(text: str, limit: int = _DETAIL_LIMIT) -> str:
    """Return foreign text fit for a status: one line of printable characters, the end kept when it is too long."""
    line = " ".join("".join(character if character.isprintable() else " " for character in text).split())
    return line if len(line) <= limit else f"…{line[-(limit - 1) :]}"
