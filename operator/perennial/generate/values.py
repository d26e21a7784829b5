"""Models of the chart's values: the source of values.yaml, its schema and its reference page."""

from typing import Annotated, Any

from pydantic import Field

from perennial.api.common.base import Model
from perennial.api.common.pod import LocalRef, PullPolicy, ResourceRequirements, Toleration
from perennial.api.contract.settings import AgentConfigDefaults, OperatorConfig, RuntimePreset
from perennial.generate.presets import PRESETS

Anything = dict[str, Any]
"""Passed to Kubernetes unchanged; the API server validates it."""

Labels = dict[str, str]


class Image(Model):
    """Image of the operator and the agent."""

    repository: Annotated[str, Field(min_length=1)] = Field(
        "localhost/perennial",
        description="Registry and name. `make image` builds it; push it to a registry that nodes can pull from.",
    )
    tag: str = Field("", description="Tag. Empty: the chart's appVersion.")
    digest: Annotated[str, Field(pattern=r"^(sha256:[0-9a-f]{64})?$")] = Field(
        "", description="sha256:...; takes precedence over the tag. Recommended in production."
    )
    pull_policy: PullPolicy | None = Field(
        None, description="Always, IfNotPresent or Never. Unset: the default of Kubernetes."
    )


class ChartAgent(AgentConfigDefaults):
    """Containers of the agent in users' pods."""

    image: Annotated[str, Field(max_length=512, pattern=r"^[^\s]*$")] = Field(
        "", description="Image of the agent. Empty: the operator's image."
    )


class ChartConfig(OperatorConfig):
    """Configuration file of the operator."""

    agent: ChartAgent = Field(ChartAgent(), description="Containers of the agent in users' pods.")
    runtimes: dict[str, RuntimePreset] = Field(
        PRESETS,
        description="Model servers that ModelDeployments select by name. $(PERENNIAL_MODEL_NAME) and "
        "$(PERENNIAL_MODEL_DIR) are expanded in args and in the values of env.",
    )


class Crds(Model):
    """CustomResourceDefinitions."""

    enabled: bool = Field(True, description="Install and upgrade the CRDs with the chart.")
    keep: bool = Field(True, description="Keep the CRDs, and with them all resources, when the chart is uninstalled.")
    annotations: Labels = Field({}, description="Annotations of the CRDs, such as argocd.argoproj.io/sync-options.")


class Rbac(Model):
    """RBAC."""

    create: bool = Field(
        True, description="Create the operator's roles and bindings. false: grant its rights separately."
    )
    aggregate: bool = Field(True, description="Add the resources to the cluster roles view, edit and admin.")


class ServiceAccount(Model):
    """ServiceAccount of the operator."""

    create: bool = Field(True, description="Create the ServiceAccount.")
    name: str = Field("", description="Name. Empty: the full name of the release.")
    annotations: Labels = Field({}, description="Annotations of the ServiceAccount.")


class MetricsService(Model):
    """Service for /metrics."""

    enabled: bool = Field(True, description="Create the Service. `helm test` needs it.")
    port: int = Field(8080, ge=1, le=65535, description="Port of the Service.")
    annotations: Labels = Field({}, description="Annotations of the Service.")


class ServiceMonitor(Model):
    """ServiceMonitor of the Prometheus Operator."""

    enabled: bool = Field(False, description="Create the ServiceMonitor; its CRD must be installed.")
    interval: str = Field("30s", description="Scrape interval.")
    labels: Labels = Field({}, description="Labels by which Prometheus selects it.")


class PodMonitor(Model):
    """PodMonitor of the Prometheus Operator, for the model servers."""

    enabled: bool = Field(
        False,
        description="Create the PodMonitor; its CRD must be installed. The dashboards' panels of requests, errors and "
        "latency need it. Servers whose metrics have no port of their own, such as vLLM, need one of yours.",
    )
    interval: str = Field("30s", description="Scrape interval.")
    labels: Labels = Field({}, description="Labels by which Prometheus selects it.")


class PrometheusRule(Model):
    """Alerts, as a PrometheusRule of the Prometheus Operator."""

    enabled: bool = Field(False, description="Create the PrometheusRule; its CRD must be installed.")
    labels: Labels = Field({}, description="Labels by which Prometheus selects it.")
    runbook_url: str = Field(
        "",
        description="Address under which docs/reference/alerts.md is published; alerts then link to their runbook. "
        "Empty: no link.",
    )


class Dashboards(Model):
    """Grafana dashboards, as ConfigMaps with the label grafana_dashboard."""

    enabled: bool = Field(False, description="Create the ConfigMaps. The sidecar of the Grafana chart loads them.")
    namespace: str = Field("", description="Namespace of the ConfigMaps. Empty: that of the release.")
    labels: Labels = Field({}, description="Further labels of the ConfigMaps.")
    annotations: Labels = Field({}, description="Annotations of the ConfigMaps, such as grafana_folder.")


class Metrics(Model):
    """Metrics of the operator."""

    service: MetricsService = Field(MetricsService(), description="Service for /metrics.")
    service_monitor: ServiceMonitor = Field(ServiceMonitor(), description="ServiceMonitor of the Prometheus Operator.")
    pod_monitor: PodMonitor = Field(PodMonitor(), description="PodMonitor of the model servers.")
    prometheus_rule: PrometheusRule = Field(PrometheusRule(), description="Alerts for the Prometheus Operator.")
    dashboards: Dashboards = Field(Dashboards(), description="Dashboards for Grafana.")


class NetworkPolicy(Model):
    """NetworkPolicy of the operator."""

    enabled: bool = Field(False, description="Create the NetworkPolicy.")
    ingress_from: Annotated[tuple[Anything, ...], Field(max_length=64)] = Field(
        (), description="Peers that may scrape /metrics. Empty: all."
    )
    api_server_ports: Annotated[tuple[int, ...], Field(max_length=16)] = Field(
        (443, 6443), description="Ports of the API server: of its Service and of its endpoints. DNS is allowed as well."
    )
    metrics_ports: Annotated[tuple[Annotated[int, Field(ge=1, le=65535)], ...], Field(max_length=64)] = Field(
        (),
        description="Ports of serving pods' metrics that the operator may read for gates, beside those of the runtime "
        "presets: the ports that users set in runtime.container.metrics.",
    )


class Approvals(Model):
    """Approval of rollouts by annotation."""

    hold_to_user: bool = Field(
        True,
        description="Create two ValidatingAdmissionPolicies: perennial.dev/approved-by must be the user who sets it, "
        "and only the operator's ServiceAccount may write the status of the resources.",
    )
    record_author: bool = Field(
        False,
        description="Create a MutatingAdmissionPolicy that records in perennial.dev/changed-by who changes the spec of "
        "a ModelDeployment, so that nobody approves a change of their own. Needs Kubernetes 1.36 and holdToUser.",
    )


class PodDisruptionBudget(Model):
    """PodDisruptionBudget of the operator."""

    enabled: bool = Field(True, description="Create the PodDisruptionBudget if there is more than one replica.")
    max_unavailable: int = Field(1, ge=1, description="Replicas that may be unavailable at once.")


class Values(Model):
    """All values of the chart."""

    name_override: str = Field("", description="Replaces the chart's name in object names.")
    fullname_override: str = Field("", description="Replaces the full name of the release in object names.")
    image: Image = Field(Image(), description="Image of the operator and the agent.")
    image_pull_secrets: Annotated[tuple[LocalRef, ...], Field(max_length=8)] = Field(
        (), description="Secrets with registry credentials, in the release's namespace: [{name: registry}]."
    )
    replicas: int = Field(2, ge=1, le=16, description="Number of replicas. One leads, the others stand by.")
    config: ChartConfig = Field(ChartConfig(), description="Configuration file of the operator.")
    crds: Crds = Field(Crds(), description="CustomResourceDefinitions.")
    rbac: Rbac = Field(Rbac(), description="RBAC.")
    service_account: ServiceAccount = Field(ServiceAccount(), description="ServiceAccount of the operator.")
    resources: ResourceRequirements = Field(
        ResourceRequirements(requests={"cpu": "100m", "memory": "256Mi"}, limits={"memory": "1Gi"}),
        description="Requests and limits of the operator. It keeps every resource in memory: about 20 KB each.",
    )
    node_selector: Labels = Field({}, description="Node labels that the pods require.")
    tolerations: Annotated[tuple[Toleration, ...], Field(max_length=32)] = Field(
        (), description="Tolerations of the pods."
    )
    affinity: Anything = Field({}, description="Affinity of the pods.")
    topology_spread_constraints: Annotated[tuple[Anything, ...], Field(max_length=16)] = Field(
        (), description="Topology spread of the pods. Empty: prefer different nodes."
    )
    priority_class_name: str = Field("", description="PriorityClass of the pods, such as system-cluster-critical.")
    pod_annotations: Labels = Field({}, description="Annotations of the pods.")
    pod_labels: Labels = Field({}, description="Labels of the pods.")
    extra_env: Annotated[tuple[Anything, ...], Field(max_length=64)] = Field(
        (), description="Additional environment variables: [{name: HTTPS_PROXY, value: ...}]."
    )
    extra_args: Annotated[tuple[str, ...], Field(max_length=32)] = Field(
        (), description="Additional arguments, such as --use-proxy-env."
    )
    metrics: Metrics = Field(Metrics(), description="Metrics of the operator.")
    network_policy: NetworkPolicy = Field(NetworkPolicy(), description="NetworkPolicy of the operator.")
    approvals: Approvals = Field(Approvals(), description="Approval of rollouts by annotation.")
    pod_disruption_budget: PodDisruptionBudget = Field(
        PodDisruptionBudget(), description="PodDisruptionBudget of the operator."
    )
