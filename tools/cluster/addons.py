"""What every cluster has beside Kubernetes itself: names by CoreDNS, CPU and memory figures by metrics-server."""

from tools.cluster import paths
from tools.cluster.kube import Api
from tools.cluster.ociarchive import program_image
from tools.cluster.plan import Plan

SYSTEM = "kube-system"
METRICS = "metrics.k8s.io"
RBAC = "rbac.authorization.k8s.io"
_READ = ["get", "list", "watch"]


def apply_all(api: Api, plan: Plan) -> None:
    """Applies the add-ons.

    Raises:
        ApiError: the API server refused one.
    """
    for path, document in [*dns(plan), *metrics()]:
        api.apply(path, document)


def dns(plan: Plan) -> list[tuple[str, dict[str, object]]]:
    """CoreDNS under the cluster IP that the kubelet tells pods."""
    name = "coredns"
    rules = [
        _rule("", ["endpoints", "services", "pods", "namespaces"], ["list", "watch"]),
        _rule("discovery.k8s.io", ["endpointslices"], ["list", "watch"]),
    ]
    container = {
        **_hardened("coredns", ["-conf", "/etc/coredns/Corefile"]),
        "volumeMounts": [{"name": "config", "mountPath": "/etc/coredns"}],
        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8181}, "periodSeconds": 1},
    }
    volumes: list[dict[str, object]] = [{"name": "config", "configMap": {"name": name}}]
    ports: list[dict[str, object]] = [
        {"name": "dns", "port": 53, "protocol": "UDP"},
        {"name": "dns-tcp", "port": 53, "protocol": "TCP"},
    ]
    corefile = (paths.PACKAGE / "addons" / "Corefile").read_text()
    return [
        *_account(name, rules),
        _core("configmaps", "ConfigMap", name, {"data": {"Corefile": corefile}}),
        _deployment(name, "kube-dns", container, volumes, dns_policy="Default"),
        _service("kube-dns", "kube-dns", ports, {"clusterIP": str(plan.network.dns)}),
    ]


def metrics() -> list[tuple[str, dict[str, object]]]:
    """metrics-server behind the aggregation layer."""
    name = "metrics-server"
    rules = [_rule("", ["nodes/metrics"], ["get"]), _rule("", ["pods", "nodes"], _READ)]
    container = _hardened(
        "metrics-server",
        [
            "--cert-dir=/tmp",
            "--secure-port=10250",
            "--kubelet-certificate-authority=/var/run/secrets/kubernetes.io/serviceaccount/ca.crt",
            "--kubelet-preferred-address-types=InternalIP",
            # The shortest it takes; the time-out must be well below it.
            "--metric-resolution=10s",
            "--kubelet-request-timeout=5s",
        ],
    ) | {"volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}]}  # noqa: S108, a path in the container
    version = "v1beta1"
    registration = {
        "service": {"name": name, "namespace": SYSTEM},
        "group": METRICS,
        "version": version,
        # Its certificate is made at its start, by itself.
        "insecureSkipTLSVerify": True,
        "groupPriorityMinimum": 100,
        "versionPriority": 100,
    }
    return [
        *_account(name, rules),
        _binding(f"{name}:delegator", name, "ClusterRole", "system:auth-delegator"),
        _binding(f"{name}:reader", name, "Role", "extension-apiserver-authentication-reader", SYSTEM),
        # Whoever may view pods may view their figures.
        _cluster_role(
            "system:aggregated-metrics-reader",
            [_rule(METRICS, ["pods", "nodes"], _READ)],
            {f"{RBAC}/aggregate-to-{role}": "true" for role in ("view", "edit", "admin")},
        ),
        _deployment(name, name, container, [{"name": "tmp", "emptyDir": {}}]),
        _service(name, name, [{"name": "https", "port": 443, "targetPort": 10250}], {}),
        _object(
            "apiregistration.k8s.io/v1",
            "apiservices",
            "APIService",
            f"{version}.{METRICS}",
            {"spec": registration},
        ),
    ]


def _object(
    api_version: str, plural: str, kind: str, name: str, rest: dict[str, object], *, namespace: str = ""
) -> tuple[str, dict[str, object]]:
    root = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
    inside = f"/namespaces/{namespace}" if namespace else ""
    metadata: dict[str, object] = {"name": name}
    if namespace:
        metadata["namespace"] = namespace
    labels = rest.pop("labels", None)
    if labels:
        metadata["labels"] = labels
    document = {"apiVersion": api_version, "kind": kind, "metadata": metadata, **rest}
    return f"{root}{inside}/{plural}/{name}", document


def _core(plural: str, kind: str, name: str, rest: dict[str, object]) -> tuple[str, dict[str, object]]:
    return _object("v1", plural, kind, name, rest, namespace=SYSTEM)


def _rule(group: str, resources: list[str], verbs: list[str]) -> dict[str, list[str]]:
    return {"apiGroups": [group], "resources": resources, "verbs": verbs}


def _account(name: str, rules: list[dict[str, list[str]]]) -> list[tuple[str, dict[str, object]]]:
    role = f"system:{name}"
    return [
        _core("serviceaccounts", "ServiceAccount", name, {}),
        _cluster_role(role, rules, {}),
        _binding(role, name, "ClusterRole", role),
    ]


def _cluster_role(
    name: str, rules: list[dict[str, list[str]]], labels: dict[str, str]
) -> tuple[str, dict[str, object]]:
    return _object(f"{RBAC}/v1", "clusterroles", "ClusterRole", name, {"labels": labels, "rules": rules})


def _binding(name: str, account: str, role_kind: str, role: str, namespace: str = "") -> tuple[str, dict[str, object]]:
    kind, plural = ("RoleBinding", "rolebindings") if namespace else ("ClusterRoleBinding", "clusterrolebindings")
    rest: dict[str, object] = {
        "roleRef": {"apiGroup": RBAC, "kind": role_kind, "name": role},
        "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": SYSTEM}],
    }
    return _object(f"{RBAC}/v1", plural, kind, name, rest, namespace=namespace)


def _hardened(program: str, arguments: list[str]) -> dict[str, object]:
    return {
        "name": program,
        "image": program_image(program),
        "imagePullPolicy": "Never",
        "command": [f"/{program}", *arguments],
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]},
        },
    }


def _deployment(
    name: str,
    label: str,
    container: dict[str, object],
    volumes: list[dict[str, object]],
    *,
    dns_policy: str = "ClusterFirst",
) -> tuple[str, dict[str, object]]:
    labels = {"k8s-app": label}
    pod = {
        "serviceAccountName": name,
        "priorityClassName": "system-cluster-critical",
        "dnsPolicy": dns_policy,
        "containers": [container],
        "volumes": volumes,
        "tolerations": [{"key": "node-role.kubernetes.io/control-plane", "operator": "Exists"}],
    }
    spec = {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod}}
    return _object("apps/v1", "deployments", "Deployment", name, {"spec": spec}, namespace=SYSTEM)


def _service(
    name: str, label: str, ports: list[dict[str, object]], more: dict[str, object]
) -> tuple[str, dict[str, object]]:
    spec = {"selector": {"k8s-app": label}, "ports": ports, **more}
    return _core("services", "Service", name, {"spec": spec})
