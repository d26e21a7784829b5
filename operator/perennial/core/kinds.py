"""Kinds of objects that the operator watches or creates, and keys of objects."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from perennial.api.common.base import GROUP, VERSION

Raw = dict[str, Any]
"""An object as the API server sends it. Controllers parse it into a model; only the runtime handles it raw."""


@dataclass(frozen=True)
class Kind:
    """One kind of object of the Kubernetes API."""

    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """`group/version`, or `v1` for the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version


TRAINING_JOB = Kind(GROUP, VERSION, "TrainingJob", "trainingjobs")
MODEL_DEPLOYMENT = Kind(GROUP, VERSION, "ModelDeployment", "modeldeployments")
DRIFT_MONITOR = Kind(GROUP, VERSION, "DriftMonitor", "driftmonitors")
RESOURCES = (TRAINING_JOB, MODEL_DEPLOYMENT, DRIFT_MONITOR)

POD = Kind("", "v1", "Pod", "pods")
SERVICE = Kind("", "v1", "Service", "services")
EVENT = Kind("", "v1", "Event", "events")
CONFIG_MAP = Kind("", "v1", "ConfigMap", "configmaps")
JOB = Kind("batch", "v1", "Job", "jobs")
CRON_JOB = Kind("batch", "v1", "CronJob", "cronjobs")
DEPLOYMENT = Kind("apps", "v1", "Deployment", "deployments")
REPLICA_SET = Kind("apps", "v1", "ReplicaSet", "replicasets")
AUTOSCALER = Kind("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers")
DISRUPTION_BUDGET = Kind("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets")
NETWORK_POLICY = Kind("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies")
HTTP_ROUTE = Kind("gateway.networking.k8s.io", "v1", "HTTPRoute", "httproutes")
GATEWAY = Kind("gateway.networking.k8s.io", "v1", "Gateway", "gateways")
GATEWAY_CLASS = Kind("gateway.networking.k8s.io", "v1", "GatewayClass", "gatewayclasses", namespaced=False)
SCALED_OBJECT = Kind("keda.sh", "v1alpha1", "ScaledObject", "scaledobjects")
LEASE = Kind("coordination.k8s.io", "v1", "Lease", "leases")

CHILDREN = (
    JOB,
    CRON_JOB,
    DEPLOYMENT,
    SERVICE,
    AUTOSCALER,
    SCALED_OBJECT,
    DISRUPTION_BUDGET,
    NETWORK_POLICY,
    HTTP_ROUTE,
)
"""Kinds that the operator creates. Like pods, they are watched only with the label `perennial.dev/kind`."""

OPTIONAL = frozenset({HTTP_ROUTE, SCALED_OBJECT})
"""Kinds that not every cluster serves: they are watched where it does, and asked for only then."""

ASKED_FOR = (GATEWAY, GATEWAY_CLASS)
"""Kinds that are not watched: single objects of them are read when a rollout needs to know them."""

WATCHED_BY_LABEL = (*CHILDREN, REPLICA_SET, POD)
"""ReplicaSets are watched to follow the owner references from a pod to its Deployment."""


class Key(NamedTuple):
    """Identifies one object: kind, namespace and name."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        """Format for logs: `TrainingJob/default/churn`."""
        return f"{self.kind}/{self.namespace}/{self.name}"
