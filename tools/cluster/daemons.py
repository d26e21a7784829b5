"""The programs of a cluster and their arguments: pure functions of the plan."""

from dataclasses import dataclass, field

from tools.cluster.plan import INSIDE, PROGRAMS, Plan

PKI = f"{INSIDE}/pki"
CONF = f"{INSIDE}/conf"


@dataclass(frozen=True)
class Daemon:
    """One program to keep running. Its log is `<name>.log`."""

    name: str
    argv: tuple[str, ...]
    env: dict[str, str] = field(default_factory=dict)


def _flags(program: str, flags: dict[str, str]) -> tuple[str, ...]:
    return (f"{PROGRAMS}/{program}", *(f"--{key}={value}" for key, value in flags.items()))


def etcd() -> Daemon:
    """Without fsync: the data may go with the machine, and tests are several times faster."""
    flags = {
        "data-dir": f"{INSIDE}/etcd",
        "listen-client-urls": "http://127.0.0.1:2379",
        "advertise-client-urls": "http://127.0.0.1:2379",
        "listen-peer-urls": "http://127.0.0.1:2380",
        "quota-backend-bytes": str(4 * 2**30),
        "auto-compaction-retention": "30m",
    }
    return Daemon("etcd", (*_flags("etcd", flags), "--unsafe-no-fsync"))


def api_server(plan: Plan) -> Daemon:
    """Listens on every address of the namespace, so the host reaches it by the node's."""
    flags = {
        "etcd-servers": "http://127.0.0.1:2379",
        "secure-port": "6443",
        "bind-address": "0.0.0.0",  # noqa: S104, inside a network namespace of its own
        "advertise-address": str(plan.network.api),
        "tls-cert-file": f"{PKI}/apiserver.crt",
        "tls-private-key-file": f"{PKI}/apiserver.key",
        "client-ca-file": f"{PKI}/ca.crt",
        "service-account-key-file": f"{PKI}/service-accounts.key",
        "service-account-signing-key-file": f"{PKI}/service-accounts.key",
        "service-account-issuer": "https://kubernetes.default.svc",
        "authorization-mode": "Node,RBAC",
        "enable-admission-plugins": "NodeRestriction",
        "service-cluster-ip-range": str(plan.network.services),
        "kubelet-certificate-authority": f"{PKI}/ca.crt",
        "kubelet-client-certificate": f"{PKI}/apiserver-kubelet.crt",
        "kubelet-client-key": f"{PKI}/apiserver-kubelet.key",
        # `kubectl logs` fails without: no DNS knows the nodes' names.
        "kubelet-preferred-address-types": "InternalIP,Hostname",
        "allow-privileged": "true",
        # The aggregation layer, for metrics-server; straight to its pod, since nothing here runs beside a proxy.
        "enable-aggregator-routing": "true",
        "requestheader-client-ca-file": f"{PKI}/front-ca.crt",
        "requestheader-allowed-names": "front-proxy-client",
        "requestheader-extra-headers-prefix": "X-Remote-Extra-",
        "requestheader-group-headers": "X-Remote-Group",
        "requestheader-username-headers": "X-Remote-User",
        "proxy-client-cert-file": f"{PKI}/front-proxy.crt",
        "proxy-client-key-file": f"{PKI}/front-proxy.key",
        # Benches create objects faster than the defaults admit.
        "max-requests-inflight": "2000",
        "max-mutating-requests-inflight": "1000",
    }
    return Daemon("kube-apiserver", _flags("kube-apiserver", flags))


def controller_manager() -> Daemon:
    """One replica, no election; client limits wide enough for thousands of Jobs."""
    flags = {
        **_kubeconfigs("controller-manager"),
        "service-account-private-key-file": f"{PKI}/service-accounts.key",
        "root-ca-file": f"{PKI}/ca.crt",
        "use-service-account-credentials": "true",
        "cluster-signing-cert-file": f"{PKI}/ca.crt",
        "cluster-signing-key-file": f"{PKI}/ca.key",
        "concurrent-job-syncs": "20",
        # An autoscaler's test should take one minute, not three.
        "horizontal-pod-autoscaler-sync-period": "5s",
        "horizontal-pod-autoscaler-cpu-initialization-period": "30s",
    }
    return Daemon("kube-controller-manager", _flags("kube-controller-manager", flags))


def scheduler() -> Daemon:
    """One replica, no election."""
    return Daemon("kube-scheduler", _flags("kube-scheduler", _kubeconfigs("scheduler")))


def _kubeconfigs(user: str) -> dict[str, str]:
    path = f"{CONF}/{user}.kubeconfig"
    return {
        "kubeconfig": path,
        "authentication-kubeconfig": path,
        "authorization-kubeconfig": path,
        "leader-elect": "false",
        "bind-address": "127.0.0.1",
        "kube-api-qps": "500",
        "kube-api-burst": "1000",
    }


def kwok() -> Daemon:
    """Plays the kubelet of nodes that carry its annotation, and of no other."""
    flags = {
        "kubeconfig": f"{CONF}/kwok.kubeconfig",
        "config": f"{CONF}/kwok.yaml",
        "manage-all-nodes": "false",
        "manage-nodes-with-annotation-selector": "kwok.x-k8s.io/node=fake",
        "node-ip": "127.0.0.1",
        "cidr": "10.0.0.1/16",
        "node-lease-duration-seconds": "40",
        "server-address": "127.0.0.1:10247",
    }
    return Daemon("kwok", _flags("kwok", flags))


def containerd(node: int) -> Daemon:
    """The container runtime of one node."""
    return Daemon("containerd", _flags("containerd", {"config": f"{CONF}/node{node}/containerd.toml"}))


def kubelet(plan: Plan, node: int) -> Daemon:
    """The kubelet of one node."""
    flags = {
        "config": f"{CONF}/node{node}/kubelet.json",
        "kubeconfig": f"{CONF}/node{node}/kubelet.kubeconfig",
        "node-ip": str(plan.network.node(node)),
        "hostname-override": f"node{node}",
    }
    return Daemon("kubelet", _flags("kubelet", flags))


def kube_proxy(node: int) -> Daemon:
    """Services on one node, by nftables."""
    flags = {"config": f"{CONF}/node{node}/proxy.json", "hostname-override": f"node{node}"}
    return Daemon("kube-proxy", _flags("kube-proxy", flags))
