"""The life of pods, played by patching their status.

This is the one thing in the fault tests and benches that is not real: they run on a control plane without nodes, so
that hundreds of lifecycles fit into minutes. Jobs, Deployments, CronJobs, autoscalers and garbage collection are the
real controllers', and the end-to-end tests run the same lifecycles on a real kubelet.
"""

from datetime import UTC, datetime
from typing import Any

from perennial.api.contract.messages import AgentMessage
from perennial.core.kinds import POD
from perennial.core.times import format_time
from tests.support.kube import Kube, Raw

IMAGE_ID = "registry.example/image@sha256:" + "ab" * 32


def now() -> str:
    """Return the present moment as Kubernetes writes it."""
    return format_time(datetime.now(UTC))


def ended(name: str, code: int = 0, message: str | AgentMessage = "", reason: str | None = None) -> Raw:
    """Return the status of a container that has ended."""
    text = message if isinstance(message, str) else message.model_dump_json(by_alias=True, exclude_none=True)
    state = {
        "exitCode": code,
        "reason": reason or ("Completed" if code == 0 else "Error"),
        "message": text,
        "startedAt": now(),
        "finishedAt": now(),
    }
    return {
        "name": name,
        "ready": False,
        "started": False,
        "restartCount": 0,
        "image": "image",
        "imageID": IMAGE_ID,
        "state": {"terminated": state},
    }


def running(name: str, *, ready: bool = True) -> Raw:
    """Return the status of a container that runs."""
    return {
        "name": name,
        "ready": ready,
        "started": True,
        "restartCount": 0,
        "image": "image",
        "imageID": IMAGE_ID,
        "state": {"running": {"startedAt": now()}},
    }


def waiting(name: str, reason: str, message: str = "", restarts: int = 0) -> Raw:
    """Return the status of a container that waits."""
    return {
        "name": name,
        "ready": False,
        "started": False,
        "restartCount": restarts,
        "image": "image",
        "imageID": "",
        "state": {"waiting": {"reason": reason, "message": message}},
    }


class Kubelet:
    """Sets the status of pods."""

    def __init__(self, kube: Kube) -> None:
        """Act through a client."""
        self._kube = kube

    async def pods(self, namespace: str, selector: str = "") -> list[Raw]:
        """Return the pods of a namespace."""
        return await self._kube.list(POD, namespace, selector)

    async def set(
        self,
        pod: Raw,
        phase: str,
        main: list[Raw],
        init: list[Raw] | None = None,
        *,
        conditions: list[Raw] | None = None,
    ) -> Raw:
        """Write a pod's phase and containers."""
        ready = phase == "Running" and all(item["ready"] for item in main)
        status: dict[str, Any] = {
            "phase": phase,
            "startTime": now(),
            "containerStatuses": main,
            "initContainerStatuses": init or [],
            "conditions": conditions
            or [
                {"type": "PodScheduled", "status": "True", "lastTransitionTime": now()},
                {"type": "Ready", "status": "True" if ready else "False", "lastTransitionTime": now()},
                {"type": "ContainersReady", "status": "True" if ready else "False", "lastTransitionTime": now()},
            ],
        }
        meta = pod["metadata"]
        return await self._kube.patch(POD, meta["namespace"], meta["name"], {"status": status}, "status")

    async def run(self, pod: Raw) -> Raw:
        """Let all containers of a pod run; init containers that are no sidecars have ended well."""
        spec = pod["spec"]
        init = [
            running(item["name"])
            if item.get("restartPolicy") == "Always"
            else ended(item["name"], 0, '{"v":1,"kind":"Fetched"}')
            for item in spec.get("initContainers", [])
        ]
        return await self.set(pod, "Running", [running(item["name"]) for item in spec["containers"]], init)
