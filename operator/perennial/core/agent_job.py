"""The Jobs whose only container is the agent's: comparisons, gates, and appends to the audit log."""

from collections.abc import Sequence
from typing import Any

from perennial.core.failures import TABLE
from perennial.core.podspec import agent_pod_spec

_RETRIES = 2


def agent_job_spec(
    container: dict[str, Any],
    *,
    metadata: dict[str, Any],
    volumes: Sequence[dict[str, Any]],
    options: dict[str, Any],
    account: str | None,
    deadline: int,
    shards: int = 1,
) -> dict[str, Any]:
    """Build the spec of a Job whose pod has no rights in the cluster.

    A disruption of the pod costs no retry, and a failure that no retry can fix ends the Job at once.

    Args:
        container: the agent's container.
        metadata: labels and annotations of the pod.
        volumes: volumes of the pod.
        options: further fields of the pod, such as nodeSelector.
        account: ServiceAccount of the pod; None or empty: the namespace's default.
        deadline: seconds until the Job has failed.
        shards: number of pods that run at once, each with an index and retries of its own. One that fails for good
            ends the Job.
    """
    permanent = sorted(failure.code for failure in TABLE if not failure.retriable)
    exit_codes = {"containerName": container["name"], "operator": "In", "values": permanent}
    return {
        **_completions(shards),
        "activeDeadlineSeconds": deadline,
        "podFailurePolicy": {
            "rules": [
                {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
                {"action": "FailJob", "onExitCodes": exit_codes},
            ]
        },
        "template": {
            "metadata": metadata,
            "spec": agent_pod_spec(container, volumes=volumes, options=options, account=account),
        },
    }


def _completions(shards: int) -> dict[str, Any]:
    if shards == 1:
        return {"backoffLimit": _RETRIES}
    return {
        "completionMode": "Indexed",
        "completions": shards,
        "parallelism": shards,
        "backoffLimitPerIndex": _RETRIES,
        "maxFailedIndexes": 0,
    }
