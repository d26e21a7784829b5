"""Rejects a Job that Kubernetes or Linux would refuse for its size, before it is created.

Every limit leaves room for what others add: a trial's parameters, admission webhooks, the Job controller.
"""

from collections.abc import Iterator

from perennial.core.kinds import Raw
from perennial.core.serialized import serialized_bytes

MAX_JOB_BYTES = 1_000 * 1024
"""etcd accepts 1.5 MiB."""
MAX_ANNOTATION_BYTES = 224 * 1024
"""Kubernetes accepts 256 KiB for all annotations of an object."""
MAX_VARIABLE_BYTES = 120 * 1024
"""Linux starts no program with an argument or a variable of 128 KiB or more."""

_ADVICE = (
    "shorten command, args, env or parameters, or move long values into a file: an input, the image, or a ConfigMap in "
    "envFrom"
)


def oversize(job: Raw) -> str | None:
    """Return a sentence about what is too large, and what to do; None if the Job is within the limits."""
    size = serialized_bytes(job)
    if size > MAX_JOB_BYTES:
        return f"the Job of a run would have {size:,} bytes, more than {MAX_JOB_BYTES:,}; {_ADVICE}"
    for container, name, value in _variables(job):
        length = len(value.replace("$$", "$").encode())
        if length > MAX_VARIABLE_BYTES:
            return (
                f"variable {name} of container {container} would have {length:,} bytes, more than "
                f"{MAX_VARIABLE_BYTES:,}; {_ADVICE}"
            )
    annotations = sum(len(f"{key}{value}".encode()) for key, value in job["metadata"]["annotations"].items())
    if annotations > MAX_ANNOTATION_BYTES:
        return f"the run's plan would have {annotations:,} bytes, more than {MAX_ANNOTATION_BYTES:,}; {_ADVICE}"
    return None


def _variables(job: Raw) -> Iterator[tuple[str, str, str]]:
    """Yield container, name and value of every variable with a value."""
    pod = job["spec"]["template"]["spec"]
    for container in (*pod.get("initContainers", ()), *pod["containers"]):
        for variable in container["env"]:
            yield container["name"], variable["name"], variable.get("value", "")
