"""The chart's values as models: values.yaml, its schema and its reference page are made from them."""

from typing import Annotated, Any

from pydantic import Field

from perennial.api.common.base import Model
from perennial.api.common.pod import LocalRef, PullPolicy, ResourceRequirements, Toleration
from perennial.api.contract.settings import AgentConfigDefaults, OperatorConfig, RuntimePreset
from perennial.generate.presets import PRESETS

Anything = dict[str, Any]
"""Passed to Kubernetes as it stands; the API server checks it."""

Labels = dict[str, str]


class Image(Model):
    """The image of the operator, which is the agent's as well."""

    repository: Annotated[str, Field(min_length=1)] = Field(
        "localhost/perennial", description="Registry and name. `make image` builds it; push it where nodes can pull."
    )
    tag: str = Field("", description="Tag. Empty: the chart's appVersion.")
    digest: Annotated[str, Field(pattern=r"^(sha256:[0-9a-f]{64})?$")] = Field(
        "", description="sha256:...; wins over the tag, and is what production should name."
    )
    pull_policy: PullPolicy | None = Field(
        None, description="Always, IfNotPresent or Never. Unset: Kubernetes decides."
    )


class ChartAgent(AgentConfigDefaults):
    """The agent's containers in users' pods."""

    image: Annotated[str, Field(max_length=512, pattern=r"^[^\s]*$")] = Field(
        "", description="Image of the agent. Empty: the operator's own."
    )


class ChartConfig(OperatorConfig):
    """The operator's configuration file."""

    agent: ChartAgent = Field(ChartAgent(), description="The agent's containers in users' pods.")
    runtimes: dict[str, RuntimePreset] = Field(
        PRESETS,
        description="Model servers that ModelDeployments choose by name. $(PERENNIAL_MODEL_NAME) and "
        "$(PERENNIAL_MODEL_DIR) are replaced in args and in the values of env.",
    )


class Crds(Model):
    """The CustomResourceDefinitions."""

    enabled: bool = Field(True, description="Install and upgrade them with the chart.")
    keep: bool = Field(True, description="Leave them, and so everyone's resources, when the chart is uninstalled.")
    annotations: Labels = Field({}, description="Annotations, such as argocd.argoproj.io/sync-options.")


class Rbac(Model):
    """Roles."""

    create: bool = Field(True, description="Make the operator's roles. false: somebody else grants its rights.")
    aggregate: bool = Field(
        True, description="Add the resources to the cluster's view, edit and admin roles, so that users may use them."
    )


class ServiceAccount(Model):
    """The operator's account."""

    create: bool = Field(True, description="Make it.")
    name: str = Field("", description="Its name. Empty: the release's full name.")
    annotations: Labels = Field({}, description="Its annotations.")


class MetricsService(Model):
    """A Service in front of /metrics."""

    enabled: bool = Field(True, description="Make it. `helm test` needs it.")
    port: int = Field(8080, ge=1, le=65535, description="Its port.")
    annotations: Labels = Field({}, description="Its annotations.")


class ServiceMonitor(Model):
    """For the Prometheus Operator."""

    enabled: bool = Field(False, description="Make it; its CustomResourceDefinition must be there.")
    interval: str = Field("30s", description="How often to scrape.")
    labels: Labels = Field({}, description="Labels by which a Prometheus selects it.")


class Metrics(Model):
    """How Prometheus reaches the operator."""

    service: MetricsService = Field(MetricsService(), description="A Service in front of /metrics.")
    service_monitor: ServiceMonitor = Field(ServiceMonitor(), description="For the Prometheus Operator.")


class NetworkPolicy(Model):
    """Who may talk to the operator, and to whom it may talk."""

    enabled: bool = Field(False, description="Make it.")
    ingress_from: Annotated[tuple[Anything, ...], Field(max_length=64)] = Field(
        (), description="Peers that may scrape /metrics. Empty: all."
    )
    api_server_ports: Annotated[tuple[int, ...], Field(max_length=16)] = Field(
        (443, 6443), description="Ports of the API server, before and behind its Service. DNS is allowed as well."
    )


class Approvals(Model):
    """Approvals of rollouts, by annotation."""

    hold_to_user: bool = Field(
        True,
        description="Make a ValidatingAdmissionPolicy by which nobody can approve under another's name.",
    )


class PodDisruptionBudget(Model):
    """Keeps a drained node from taking all replicas."""

    enabled: bool = Field(True, description="Make it where there is more than one replica.")
    max_unavailable: int = Field(1, ge=1, description="Replicas that may be gone at once.")


class Values(Model):
    """All values of the chart."""

    name_override: str = Field("", description="Takes the place of the chart's name in names.")
    fullname_override: str = Field("", description="Takes the place of the release's full name in names.")
    image: Image = Field(Image(), description="The image of the operator, which is the agent's as well.")
    image_pull_secrets: Annotated[tuple[LocalRef, ...], Field(max_length=8)] = Field(
        (), description="Secrets with registry credentials, in the release's namespace: [{name: registry}]."
    )
    replicas: int = Field(2, ge=1, le=16, description="Replicas. One acts, the others stand by.")
    config: ChartConfig = Field(
        ChartConfig(), description="The operator's configuration: all of it goes into one file."
    )
    crds: Crds = Field(Crds(), description="The CustomResourceDefinitions.")
    rbac: Rbac = Field(Rbac(), description="Roles.")
    service_account: ServiceAccount = Field(ServiceAccount(), description="The operator's account.")
    resources: ResourceRequirements = Field(
        ResourceRequirements(requests={"cpu": "100m", "memory": "256Mi"}, limits={"memory": "1Gi"}),
        description="Requests and limits of the operator. It holds every resource in memory: some 20 KB each.",
    )
    node_selector: Labels = Field({}, description="Labels that a node must have.")
    tolerations: Annotated[tuple[Toleration, ...], Field(max_length=32)] = Field(
        (), description="Taints that the pods tolerate."
    )
    affinity: Anything = Field({}, description="As in a pod.")
    topology_spread_constraints: Annotated[tuple[Anything, ...], Field(max_length=16)] = Field(
        (), description="As in a pod. Empty: replicas go to different nodes where they can."
    )
    priority_class_name: str = Field("", description="PriorityClass, such as system-cluster-critical.")
    pod_annotations: Labels = Field({}, description="Annotations of the pods.")
    pod_labels: Labels = Field({}, description="Labels of the pods.")
    extra_env: Annotated[tuple[Anything, ...], Field(max_length=64)] = Field(
        (), description="More environment variables, as in a pod: [{name: HTTPS_PROXY, value: ...}]."
    )
    extra_args: Annotated[tuple[str, ...], Field(max_length=32)] = Field(
        (), description="More arguments, such as --use-proxy-env."
    )
    metrics: Metrics = Field(Metrics(), description="How Prometheus reaches the operator.")
    network_policy: NetworkPolicy = Field(
        NetworkPolicy(), description="Who may talk to the operator, and to whom it may talk."
    )
    approvals: Approvals = Field(Approvals(), description="Approvals of rollouts, by annotation.")
    pod_disruption_budget: PodDisruptionBudget = Field(
        PodDisruptionBudget(), description="Keeps a drained node from taking all replicas."
    )
