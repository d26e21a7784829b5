"""Configuration files of a cluster, as values; `write_all` puts them into the state folder."""

import json
from collections.abc import Mapping
from pathlib import Path

from tools.cluster import pki
from tools.cluster.daemons import CONF, PKI
from tools.cluster.plan import INSIDE, Plan

PAUSE_IMAGE = "localhost/pause:1"


def containerd(plan: Plan, node: int) -> dict[str, object]:
    """Containerd's configuration, version 3."""
    runtime = "io.containerd.cri.v1.runtime"
    images = "io.containerd.cri.v1.images"
    return {
        "version": 3,
        "root": "/var/lib/containerd",
        "state": "/run/containerd",
        "temp": f"{INSIDE}/node{node}/tmp",  # noqa: S108, a folder of the cluster
        "disabled_plugins": ["io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.erofs"],
        "grpc": {"address": socket(node)},
        "plugins": {
            images: {
                "snapshotter": "overlayfs" if plan.overlay else "native",
                "pinned_images": {"sandbox": PAUSE_IMAGE},
            },
            runtime: {
                # Without CAP_SYS_RESOURCE a sandbox that asks for a lower score than ours dies at its start.
                "restrict_oom_score_adj": not plan.can_lower_oom_score,
                "containerd": {
                    "default_runtime_name": "runc",
                    "runtimes": {"runc": {"runtime_type": "io.containerd.runc.v2"}},
                },
                "cni": {"bin_dirs": [plan.cni_dir], "conf_dir": f"{CONF}/node{node}/cni"},
            },
        },
    }


def socket(node: int) -> str:
    """Containerd's socket; under 108 characters wherever the cache may be."""
    return f"{INSIDE}/node{node}/containerd.sock"


def kubelet(plan: Plan, node: int) -> dict[str, object]:
    """KubeletConfiguration."""
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "failCgroupV1": False,
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": plan.cgroup(node),
        "containerRuntimeEndpoint": f"unix://{socket(node)}",
        "clusterDNS": [str(plan.network.dns)],
        "clusterDomain": "cluster.local",
        "resolvConf": f"{CONF}/resolv.conf",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": f"{PKI}/ca.crt"},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": f"{PKI}/node{node}.crt",
        "tlsPrivateKeyFile": f"{PKI}/node{node}.key",
        "failSwapOn": False,
        "maxPods": 240,
        "kubeAPIQPS": 200,
        "kubeAPIBurst": 400,
        "serializeImagePulls": False,
        # The disk is the machine's, not the cluster's: others may fill it, and images loaded by hand must stay.
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {"memory.available": "200Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
    }


def kube_proxy(plan: Plan, node: int) -> dict[str, object]:
    """KubeProxyConfiguration; the connection tracking limits belong to the host, so they stay as they are."""
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "clusterCIDR": str(plan.network.pods),
        "clientConnection": {"kubeconfig": f"{CONF}/proxy.kubeconfig"},
        "hostnameOverride": f"node{node}",
        "healthzBindAddress": "127.0.0.1:10256",
        "conntrack": {
            "maxPerCore": 0,
            "min": 0,
            "tcpEstablishedTimeout": "0s",
            "tcpCloseWaitTimeout": "0s",
            # Under load a packet may arrive outside the window that the kernel expects; without this its answer is
            # not translated back, and the client's connection is reset.
            "tcpBeLiberal": True,
        },
    }


def cni(plan: Plan, node: int) -> dict[str, object]:
    """Point-to-point links, routed by the node: needs neither a bridge nor its netfilter module."""
    return {
        "cniVersion": "1.0.0",
        "name": "pods",
        "plugins": [
            {
                "type": "ptp",
                "ipMasq": False,
                "ipam": {
                    "type": "host-local",
                    "dataDir": "/run/cni-ipam",
                    "ranges": [[{"subnet": str(plan.network.pods_of(node))}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": True}},
        ],
    }


def write_all(plan: Plan) -> None:
    """Writes certificates, kubeconfigs and configuration files into the state folder."""
    state = plan.state
    folder = state / "pki"
    pki.make_all(plan, folder)
    server = f"https://{plan.network.api}:6443"
    admin = state / "admin.kubeconfig"
    admin.touch(mode=0o600)
    admin.write_text(pki.kubeconfig(server, "admin", folder))
    conf = state / "conf"
    conf.mkdir()
    for user in ("controller-manager", "scheduler", "proxy", "kwok"):
        (conf / f"{user}.kubeconfig").write_text(pki.inside_kubeconfig(server, user))
    # Empty on purpose: what the cluster's DNS does not know does not exist, at once and not after a timeout.
    (conf / "resolv.conf").write_text("")
    for node in range(1, plan.nodes + 1):
        mine = conf / f"node{node}"
        (mine / "cni").mkdir(parents=True)
        (mine / "containerd.toml").write_text(toml(containerd(plan, node)))
        (mine / "kubelet.kubeconfig").write_text(pki.inside_kubeconfig(server, f"node{node}"))
        _write_json(mine / "kubelet.json", kubelet(plan, node))
        _write_json(mine / "proxy.json", kube_proxy(plan, node))
        _write_json(mine / "cni" / "10-pods.conflist", cni(plan, node))


def _write_json(path: Path, document: Mapping[str, object]) -> None:
    path.write_text(json.dumps(document, indent=1) + "\n")


def toml(table: Mapping[str, object], prefix: tuple[str, ...] = ()) -> str:
    """A nested mapping of strings, numbers, booleans and lists of strings as TOML."""
    lines = [f"[{'.'.join(json.dumps(part) for part in prefix)}]"] if prefix else []
    lines += [f"{key} = {json.dumps(value)}" for key, value in table.items() if not isinstance(value, Mapping)]
    nested = [toml(value, (*prefix, key)) for key, value in table.items() if isinstance(value, Mapping)]
    return "\n".join(["\n".join(lines), *nested]) + ("" if prefix else "\n")
