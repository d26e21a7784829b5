"""Operator configuration: one YAML file rendered by the chart, whose values schema is generated from these models."""

from typing import Annotated, Literal

from pydantic import Field

from perennial.api.common.base import Model, Name, ObjectName, Quantity, ShortText
from perennial.api.common.pod import Args, EnvVar, Image, LocalRef, PullPolicy, ResourceRequirements, Storage
from perennial.api.modeldeployment.runtime import BatchingVariables, Directory, GrpcPort, HttpProbe, ModelFormat
from perennial.api.modeldeployment.traffic import TrafficMetrics


class RuntimePreset(Model):
    """A model server that ModelDeployments select by name.

    Kubernetes expands $(PERENNIAL_MODEL_NAME) and $(PERENNIAL_MODEL_DIR) in `args` and in the values of `env`.
    """

    image: Image = Field(description="Image of the model server.")
    image_pull_policy: PullPolicy | None = Field(None, description="As in a pod.")
    command: Args | None = Field(None, description="Replaces the image's entrypoint.")
    args: Args | None = Field(None, description="Replaces the image's arguments.")
    env: tuple[EnvVar, ...] = Field((), description="Environment variables.")
    port: int = Field(8080, ge=1024, le=65535, description="HTTP port of the server.")
    grpc_port: GrpcPort | None = Field(
        None,
        description="Port of gRPC (HTTP/2 without TLS). Services then have a port grpc, 8081, that leads there. Unset: "
        "none.",
    )
    batching: BatchingVariables | None = Field(
        None, description="Variables that runtime.batching sets. Unset: the server does not batch requests."
    )
    readiness: HttpProbe | None = Field(None, description="Readiness probe.")
    liveness: HttpProbe | None = Field(None, description="Liveness probe; the server is restarted when it fails.")
    metrics_port: int | None = Field(None, ge=1, le=65535, description="Port of the server's Prometheus metrics.")
    metrics_path: str = Field("/metrics", description="Path of the server's Prometheus metrics.")
    traffic: TrafficMetrics | None = Field(
        None,
        description="Series of requests, errors and latency among these metrics, for the gates errorRate and latency.",
    )
    formats: Annotated[tuple[ModelFormat, ...], Field(max_length=16)] = Field(
        (),
        description="Model formats that the server loads; others are rejected before the download. Empty: all.",
    )
    directory: Directory = Field(
        "",
        description="Folder below /mnt/models for the model's files, also the value of PERENNIAL_MODEL_DIR; "
        "$(PERENNIAL_MODEL_NAME) is expanded. Empty: /mnt/models itself.",
    )
    scaling_metrics: dict[Name, ShortText] = Field(
        default_factory=dict,
        description="Custom pod metrics for autoscaling, by a short name such as queue, running or gpu. A metrics "
        "adapter, such as the Prometheus adapter, must serve them in the custom metrics API.",
    )
    shared_memory: Quantity | None = Field(
        None, description="Size of /dev/shm, such as 2Gi, unless the ModelDeployment sets it."
    )
    startup_seconds: int = Field(
        0,
        ge=0,
        le=86400,
        description="Seconds that loading a model may take; a ModelDeployment's rollout.progressDeadlineSeconds "
        "applies only if it is longer.",
    )


class AgentConfigDefaults(Model):
    """Defaults of the agent's containers in users' pods."""

    image: Image = Field("perennial:dev", description="Image of the agent. The chart sets the operator's own image.")
    image_pull_policy: PullPolicy | None = Field(None, description="As in a pod.")
    resources: ResourceRequirements = Field(
        ResourceRequirements(requests={"cpu": "20m", "memory": "128Mi"}, limits={"memory": "1Gi"}),
        description="Requests and limits of fetch, publish and capture.",
    )


class PodRules(Model):
    """Restrictions on users' pods."""

    service_accounts: Annotated[tuple[ObjectName, ...], Field(max_length=64)] = Field(
        (),
        description="ServiceAccounts that spec.serviceAccountName may name, in the resource's own namespace. Empty: "
        "only the namespace's default ServiceAccount.",
    )
    allow_root: bool = Field(
        True,
        description="Allow users' containers to run as root: a TrainingJob's if spec.security says so, a "
        "ModelDeployment's also if only its image does. False: such pods are rejected.",
    )


class LeaderElection(Model):
    """Leader election among replicas of the operator."""

    enabled: bool = Field(True, description="Acquire a Lease before acting. Required with more than one replica.")
    lease_seconds: float = Field(15, ge=1, le=600, description="Seconds that a lease is valid without renewal.")
    renew_seconds: float = Field(
        10, ge=0.5, le=600, description="Seconds without a successful renewal after which a leader stops acting."
    )
    retry_seconds: float = Field(
        2, ge=0.1, le=60, description="Seconds between attempts to acquire or renew the lease."
    )
    name: Name = Field("perennial-operator", description="Name of the Lease.")


class Queue(Model):
    """Concurrency and rate limits of the operator."""

    workers: int = Field(48, ge=1, le=256, description="Number of resources reconciled concurrently.")
    writes_per_second: float = Field(
        0,
        ge=0,
        le=10000,
        description="Maximum writes per second to the API server. 0: no limit on the client side.",
    )
    burst: int = Field(200, ge=1, le=10000, description="Writes allowed at once above that rate.")
    backoff_seconds: float = Field(
        0.2, gt=0, le=60, description="Delay before the first retry of a failed reconcile; doubles with each retry."
    )
    max_backoff_seconds: float = Field(
        120, gt=0, le=3600, description="Maximum delay between retries of a failed reconcile."
    )


class Prometheus(Model):
    """The Prometheus server that answers the queries of gates."""

    url: Annotated[str, Field(max_length=512, pattern=r"^(https?://[^\s?#]+)?$")] = Field(
        "",
        description="Base address of a server with the Prometheus HTTP API, such as "
        "http://prometheus.monitoring.svc:9090. The operator sends it the queries of gates, without credentials. "
        "Empty: gates with a query are not judged.",
    )


class Audit(Model):
    """The audit log in S3. Pods of the agent in the operator's namespace write it."""

    uri: Annotated[str, Field(max_length=1024, pattern=r"^(s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[^\s\\]*)?)?$")] = (
        Field("", description="Prefix of the log, such as s3://audit/perennial/. Empty: no audit log.")
    )
    storage: Storage = Field(
        Storage(),
        description="How the pods reach the log. Secret and ConfigMap lie in the operator's namespace; the operator "
        "does not read them.",
    )
    lock_days: int = Field(
        0,
        ge=0,
        le=36_500,
        description="Days of retention of what is written, in a bucket with Object Lock. 0: the bucket's default.",
    )
    lock_mode: Literal["GOVERNANCE", "COMPLIANCE"] = Field(
        "GOVERNANCE",
        description="With lockDays. GOVERNANCE: users with the right to bypass it can delete. COMPLIANCE: nobody can.",
    )
    batch_seconds: float = Field(
        10,
        ge=0,
        le=600,
        description="Seconds that facts wait for others before a pod writes them together; 100 are written at once.",
    )
    service_account_name: Annotated[str, Field(max_length=253, pattern=r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?)?$")] = Field(
        "",
        description="ServiceAccount of the pods, for the workload identity of a cloud. Empty: the namespace's default.",
    )
    image_pull_secrets: Annotated[tuple[LocalRef, ...], Field(max_length=8)] = Field(
        (), description="Secrets with registry credentials for the pods. Empty: the chart sets those of the release."
    )


class OperatorConfig(Model):
    """Configuration of one installation."""

    watch_namespaces: Annotated[tuple[Name, ...], Field(max_length=256)] = Field(
        (), description="Namespaces to watch. Empty: the whole cluster."
    )
    agent: AgentConfigDefaults = Field(
        AgentConfigDefaults(), description="Defaults of the agent's containers in users' pods."
    )
    runtimes: dict[str, RuntimePreset] = Field(
        default_factory=dict, description="Model servers that ModelDeployments select by name."
    )
    pods: PodRules = Field(PodRules(), description="Restrictions on users' pods.")
    allowed_annotations: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=317)], ...], Field(max_length=64)
    ] = Field(
        (),
        description="Keys of annotations that users may set on pods and Services, and of labels on a TrainingJob's "
        "pods, with * as a wildcard, such as "
        "prometheus.io/*. None by default, since annotations configure meshes, load balancers and cloud controllers.",
    )
    prometheus: Prometheus = Field(Prometheus(), description="Prometheus server for the gates of rollouts.")
    audit: Audit = Field(Audit(), description="The audit log in S3.")
    leader_election: LeaderElection = Field(
        LeaderElection(), description="Leader election among replicas of the operator."
    )
    queue: Queue = Field(Queue(), description="Concurrency and rate limits of the operator.")
    resync_seconds: float = Field(
        300,
        ge=1,
        le=86400,
        description="Seconds between full relists, which find deletions that a watch missed.",
    )
    http_port: int = Field(8080, ge=1, le=65535, description="Port of /healthz, /readyz and /metrics.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Minimum severity of log lines."
    )
    log_format: Literal["json", "text"] = Field(
        "json", description="Log format: one JSON object per line, or plain text."
    )
    cluster_domain: str = Field(
        "", description="Cluster domain appended to Service names in URLs, such as cluster.local. Empty: none."
    )
