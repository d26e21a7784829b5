"""The parts of built-in Kubernetes objects that controllers read.

Every field has a default: these objects come from other controllers, and a missing field must not fail a reconcile.
"""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from perennial.api.common.base import Model, ObjectMeta


def _or_empty_list(value: Any) -> Any:
    return () if value is None else value


def _or_empty_map(value: Any) -> Any:
    return {} if value is None else value


Meta = ObjectMeta


class OwnerReference(Model):
    """Reference from a child to its owner."""

    kind: str = ""
    name: str = ""
    uid: str = ""
    controller: bool = False


class Terminated(Model):
    """How a container ended."""

    exit_code: int = 0
    reason: str = ""
    message: str = ""
    signal: int | None = None
    finished_at: str | None = None


class Waiting(Model):
    """Why a container is not running yet."""

    reason: str = ""
    message: str = ""


class Running(Model):
    """Since when a container has been running."""

    started_at: str | None = None


class ContainerState(Model):
    """One of waiting, running, terminated."""

    waiting: Waiting | None = None
    running: Running | None = None
    terminated: Terminated | None = None


class ContainerStatus(Model):
    """Status of one container, as reported by the kubelet."""

    name: str = ""
    ready: bool = False
    started: bool | None = None
    restart_count: int = 0
    image: str = ""
    image_id: str = Field("", alias="imageID")
    state: ContainerState = ContainerState()
    last_state: ContainerState = ContainerState()

    @property
    def ended(self) -> Terminated | None:
        """End of the container, or of its previous instance if it was restarted."""
        return self.state.terminated or self.last_state.terminated


class KubeCondition(Model):
    """A condition of a built-in object."""

    type: str = ""
    status: str = ""
    reason: str = ""
    message: str = ""
    last_transition_time: str | None = None
    observed_generation: int = 0


Statuses = Annotated[tuple[ContainerStatus, ...], BeforeValidator(_or_empty_list)]
KubeConditions = Annotated[tuple[KubeCondition, ...], BeforeValidator(_or_empty_list)]


def condition(conditions: tuple[KubeCondition, ...], kind: str) -> KubeCondition | None:
    """Find the condition of a type."""
    return next((item for item in conditions if item.type == kind), None)


def holds(conditions: tuple[KubeCondition, ...], kind: str) -> bool:
    """Tell whether a condition is present and True."""
    found = condition(conditions, kind)
    return found is not None and found.status == "True"


class PodStatus(Model):
    """Status of a pod, as reported by the kubelet and the scheduler."""

    phase: str = "Pending"
    reason: str = ""
    message: str = ""
    conditions: KubeConditions = ()
    pod_ip: str = Field("", alias="podIP")
    init_container_statuses: Statuses = ()
    container_statuses: Statuses = ()


class Pod(Model):
    """A pod."""

    metadata: ObjectMeta
    status: PodStatus = PodStatus()

    @property
    def containers(self) -> tuple[ContainerStatus, ...]:
        """Statuses of all containers, init containers first."""
        return (*self.status.init_container_statuses, *self.status.container_statuses)

    def container(self, name: str) -> ContainerStatus | None:
        """Status of one container; None until the kubelet reports it."""
        return next((item for item in self.containers if item.name == name), None)

    @property
    def unschedulable(self) -> str | None:
        """Message of the scheduler when no node fits, else None."""
        found = condition(self.status.conditions, "PodScheduled")
        return found.message if found is not None and found.status == "False" else None

    @property
    def disrupted(self) -> str | None:
        """Why Kubernetes disrupted the pod (preemption, eviction, node loss), else None."""
        found = condition(self.status.conditions, "DisruptionTarget")
        return f"{found.reason}: {found.message}" if found is not None and found.status == "True" else None


class JobStatus(Model):
    """Status of a Job."""

    active: int = 0
    succeeded: int = 0
    failed: int = 0
    start_time: str | None = None
    completion_time: str | None = None
    conditions: KubeConditions = ()


class JobSpec(Model):
    """Fields of a Job's spec that the operator reads."""

    suspend: bool = False
    completions: int = 1
    parallelism: int = 1
    backoff_limit: int | None = None
    active_deadline_seconds: int | None = None


class Job(Model):
    """A Job."""

    metadata: ObjectMeta
    spec: JobSpec = JobSpec()
    status: JobStatus = JobStatus()

    @property
    def complete(self) -> bool:
        """Tell whether the Job has succeeded."""
        return holds(self.status.conditions, "Complete")

    @property
    def failed(self) -> KubeCondition | None:
        """The Failed condition if it is True, else None."""
        found = condition(self.status.conditions, "Failed")
        return found if found is not None and found.status == "True" else None


class DeploymentStatus(Model):
    """Status of a Deployment."""

    observed_generation: int = 0
    replicas: int = 0
    updated_replicas: int = 0
    ready_replicas: int = 0
    available_replicas: int = 0
    conditions: KubeConditions = ()


class ContainerPort(Model):
    """A port of a container."""

    name: str = ""
    container_port: int = 0


Amounts = Annotated[Mapping[str, str | int | float], BeforeValidator(_or_empty_map)]
"""Quantities by the names of resources, such as `cpu` and `nvidia.com/gpu`."""


class Requests(Model):
    """The part of `resources` that Kubernetes sets aside on a node."""

    requests: Amounts = {}


Reserving = Annotated[Requests, BeforeValidator(_or_empty_map)]


class Container(Model):
    """A container of a pod or of a pod template."""

    name: str = ""
    ports: Annotated[tuple[ContainerPort, ...], BeforeValidator(_or_empty_list)] = ()
    restart_policy: str = ""
    """Always: of an init container that is a sidecar."""
    resources: Reserving = Requests()


Containers = Annotated[tuple[Container, ...], BeforeValidator(_or_empty_list)]


class PodSpec(Model):
    """Containers of a pod or of a pod template, and what they reserve."""

    node_name: str = ""
    init_containers: Containers = ()
    containers: Containers = ()
    resources: Reserving = Requests()
    """Of the pod as a whole; takes the place of the sum over its containers."""
    overhead: Amounts = {}


class PodTemplate(Model):
    """Template of a Deployment's pods."""

    spec: PodSpec = PodSpec()


class DeploymentSpec(Model):
    """Fields of a Deployment's spec that the operator reads."""

    replicas: int = 1
    template: PodTemplate = PodTemplate()


class Deployment(Model):
    """A Deployment."""

    metadata: ObjectMeta
    spec: DeploymentSpec = DeploymentSpec()
    status: DeploymentStatus = DeploymentStatus()


class AutoscalerStatus(Model):
    """Status of a HorizontalPodAutoscaler."""

    conditions: KubeConditions = ()


class HorizontalPodAutoscaler(Model):
    """A HorizontalPodAutoscaler."""

    metadata: ObjectMeta
    status: AutoscalerStatus = AutoscalerStatus()


class CronJobStatus(Model):
    """Status of a CronJob."""

    last_schedule_time: str | None = None
    last_successful_time: str | None = None


class CronJob(Model):
    """A CronJob."""

    metadata: ObjectMeta
    status: CronJobStatus = CronJobStatus()
