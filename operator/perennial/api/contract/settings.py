"""The operator's own configuration: one YAML file that the chart renders. The values schema comes from here."""

from typing import Annotated, Literal

from pydantic import Field

from perennial.api.common.base import Model, Name, ObjectName, Quantity, ShortText
from perennial.api.common.pod import Args, EnvVar, Image, PullPolicy, ResourceRequirements
from perennial.api.modeldeployment.runtime import Directory, HttpProbe, ModelFormat


class RuntimePreset(Model):
    """A model server that ModelDeployments choose by name.

    Kubernetes expands $(PERENNIAL_MODEL_NAME) and $(PERENNIAL_MODEL_DIR) in `args` and in the values of `env`.
    """

    image: Image = Field(description="Image with the server.")
    image_pull_policy: PullPolicy | None = Field(None, description="As in a pod.")
    command: Args | None = Field(None, description="Replaces the image's entrypoint.")
    args: Args | None = Field(None, description="Replaces the image's arguments.")
    env: tuple[EnvVar, ...] = Field((), description="Environment variables.")
    port: int = Field(8080, ge=1024, le=65535, description="Port that answers HTTP.")
    readiness: HttpProbe | None = Field(None, description="When the server may be sent requests.")
    liveness: HttpProbe | None = Field(None, description="When the server is to be restarted.")
    metrics_port: int | None = Field(None, ge=1, le=65535, description="Port of the server's Prometheus metrics.")
    metrics_path: str = Field("/metrics", description="Path of the server's Prometheus metrics.")
    formats: Annotated[tuple[ModelFormat, ...], Field(max_length=16)] = Field(
        (),
        description="Formats of models that the server loads; any other is refused before it is fetched. Empty: all.",
    )
    directory: Directory = Field(
        "",
        description="Folder below /mnt/models that receives the model's files, and becomes PERENNIAL_MODEL_DIR; "
        "$(PERENNIAL_MODEL_NAME) is replaced. Empty: /mnt/models itself.",
    )
    scaling_metrics: dict[Name, ShortText] = Field(
        default_factory=dict,
        description="Custom metrics of the pods that autoscaling may name, by a short name: queue, running, gpu. An "
        "adapter, such as Prometheus's, must serve them in the custom metrics API.",
    )
    shared_memory: Quantity | None = Field(
        None, description="Size of /dev/shm where the ModelDeployment sets none, such as 2Gi."
    )
    startup_seconds: int = Field(
        0,
        ge=0,
        le=86400,
        description="Seconds that loading may take; a ModelDeployment's rollout.progressDeadlineSeconds counts only "
        "where it is longer.",
    )


class AgentConfigDefaults(Model):
    """The agent's containers in users' pods."""

    image: Image = Field("perennial:dev", description="Image of the agent: the operator's own.")
    image_pull_policy: PullPolicy | None = Field(None, description="As in a pod.")
    resources: ResourceRequirements = Field(
        ResourceRequirements(requests={"cpu": "100m", "memory": "128Mi"}, limits={"memory": "1Gi"}),
        description="Requests and limits of fetch, publish and capture.",
    )


class PodRules(Model):
    """What users may ask for their pods."""

    service_accounts: Annotated[tuple[ObjectName, ...], Field(max_length=64)] = Field(
        (),
        description="ServiceAccounts that spec.serviceAccountName may name, in the resource's own namespace. Empty: "
        "none but the namespace's default.",
    )
    allow_root: bool = Field(
        True,
        description="Let users' containers run as root where their image or spec.security says so. False: they must "
        "not, and what asks for it is refused.",
    )


class LeaderElection(Model):
    """Which of several replicas acts."""

    enabled: bool = Field(True, description="Take a Lease before acting. Needed with more than one replica.")
    lease_seconds: float = Field(15, ge=1, le=600, description="How long a lease holds without renewal.")
    renew_seconds: float = Field(10, ge=0.5, le=600, description="A leader that cannot renew for so long stops acting.")
    retry_seconds: float = Field(2, ge=0.1, le=60, description="How often a lease is renewed or asked for.")
    name: Name = Field("perennial-operator", description="Name of the Lease.")


class Queue(Model):
    """How fast the operator works."""

    workers: int = Field(48, ge=1, le=256, description="Resources that are reconciled at the same time.")
    writes_per_second: float = Field(
        0,
        ge=0,
        le=10000,
        description="Most writes a second to the API server; 0: the server's own fairness decides.",
    )
    burst: int = Field(200, ge=1, le=10000, description="Writes that may come at once above that rate.")
    backoff_seconds: float = Field(
        0.2, gt=0, le=60, description="First wait after a failed reconcile; doubles each time."
    )
    max_backoff_seconds: float = Field(120, gt=0, le=3600, description="Longest wait after a failed reconcile.")


class OperatorConfig(Model):
    """Everything that an installation may set."""

    watch_namespaces: Annotated[tuple[Name, ...], Field(max_length=256)] = Field(
        (), description="Namespaces to work in. Empty: the whole cluster."
    )
    agent: AgentConfigDefaults = Field(AgentConfigDefaults(), description="The agent's containers in users' pods.")
    runtimes: dict[str, RuntimePreset] = Field(
        default_factory=dict, description="Model servers that ModelDeployments choose by name."
    )
    pods: PodRules = Field(PodRules(), description="What users may ask for their pods.")
    allowed_annotations: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=317)], ...], Field(max_length=64)
    ] = Field(
        (),
        description="Keys of annotations that users may put on pods and Services, with * for any text: "
        "prometheus.io/*. They steer meshes, load balancers and cloud controllers, so none is allowed by default.",
    )
    leader_election: LeaderElection = Field(LeaderElection(), description="Which of several replicas acts.")
    queue: Queue = Field(Queue(), description="How fast the operator works.")
    resync_seconds: float = Field(
        300,
        ge=1,
        le=86400,
        description="How often everything is listed again, to find deletions that a watch missed.",
    )
    http_port: int = Field(8080, ge=1, le=65535, description="Port of /healthz, /readyz and /metrics.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least severe lines that are logged."
    )
    log_format: Literal["json", "text"] = Field("json", description="One JSON object a line, or plain text.")
    cluster_domain: str = Field(
        "", description="Appended to Service names in URLs, such as cluster.local. Empty: none."
    )
