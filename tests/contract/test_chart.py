"""The chart, rendered in every mode: taken by Helm, kubeconform and a real API server, and hardened."""

import json
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from perennial import __version__
from perennial.api.contract.settings import OperatorConfig
from perennial.generate.presets import PRESETS
from perennial.runtime.process.settings import parse_config
from tests.contract.conftest import CHART, RELEASE_NAMESPACE, Rendered, helm, kubectl, render
from tests.contract.openapi import LOCATION, write_schemas
from tests.contract.server import ROOT, Server, accepted, documents, dump, load
from tools.cluster import api

DIGEST = "sha256:" + "ab" * 32
NAMESPACED: dict[str, Any] = {"config": {"watchNamespaces": ["team-a", "team-b"]}}
EVERYTHING: dict[str, Any] = {
    "nameOverride": "fresh",
    "image": {"repository": "registry.example/perennial", "digest": DIGEST, "pullPolicy": "IfNotPresent"},
    "imagePullSecrets": [{"name": "registry"}],
    "replicas": 3,
    "config": {
        "watchNamespaces": ["team-a"],
        "agent": {"imagePullPolicy": "Always", "resources": {"limits": {"memory": "2Gi"}}},
        "runtimes": {"own": {"image": "registry.example/own:1", "args": ["--model", "$(PERENNIAL_MODEL_DIR)"]}},
        "leaderElection": {"name": "another", "leaseSeconds": 30},
        "queue": {"workers": 4, "writesPerSecond": 12.5},
        "httpPort": 9090,
        "logLevel": "debug",
        "clusterDomain": "cluster.local",
        "prometheus": {"url": "https://prometheus.example:9443/base"},
    },
    "crds": {"keep": False, "annotations": {"argocd.argoproj.io/sync-options": "ServerSideApply=true"}},
    "rbac": {"aggregate": False},
    "serviceAccount": {"name": "worker", "annotations": {"example.com/role": "operator"}},
    "resources": {"limits": {"cpu": 2, "memory": "2Gi"}},
    "nodeSelector": {"kubernetes.io/os": "linux"},
    "tolerations": [{"key": "system", "operator": "Exists"}],
    "affinity": {
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [
                    {
                        "matchExpressions": [
                            {"key": "kubernetes.io/arch", "operator": "In", "values": ["amd64", "arm64"]}
                        ]
                    }
                ]
            }
        }
    },
    "topologySpreadConstraints": [
        {
            "maxSkew": 1,
            "topologyKey": "topology.kubernetes.io/zone",
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {},
        }
    ],
    "priorityClassName": "system-cluster-critical",
    "podAnnotations": {"example.com/a": "b"},
    "podLabels": {"example.com/c": "d"},
    "extraEnv": [{"name": "HTTPS_PROXY", "value": "http://proxy.example:3128"}],
    "extraArgs": ["--use-proxy-env"],
    "metrics": {
        "service": {"port": 80, "annotations": {"prometheus.io/scrape": "true"}},
        "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
        "podMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
        "prometheusRule": {
            "enabled": True,
            "labels": {"release": "prometheus"},
            "runbookUrl": "https://docs.example/a",
        },
        "dashboards": {"enabled": True, "namespace": "monitoring", "annotations": {"grafana_folder": "ML"}},
    },
    "networkPolicy": {"enabled": True, "ingressFrom": [{"namespaceSelector": {}}], "apiServerPorts": [6443]},
    "podDisruptionBudget": {"maxUnavailable": 2},
}
NOTHING: dict[str, Any] = {
    "replicas": 1,
    "config": {"leaderElection": {"enabled": False}},
    "crds": {"enabled": False},
    "rbac": {"create": False, "aggregate": False},
    "serviceAccount": {"create": False, "name": "given"},
    "metrics": {"service": {"enabled": False}},
    "approvals": {"holdToUser": False},
}
PROMETHEUS_OPERATOR = ("ServiceMonitor", "PodMonitor", "PrometheusRule")
"""Kinds that the API server of the tests does not have."""
MODES = {"default": {}, "namespaced": NAMESPACED, "everything": EVERYTHING, "nothing": NOTHING}
by_mode = pytest.mark.parametrize("values", MODES.values(), ids=MODES)
Chart = Callable[[Any], Rendered]


def one(objects: Rendered, kind: str, name: str | None = None) -> Any:
    found = [item for item in objects if item["kind"] == kind and name in {None, item["metadata"]["name"]}]
    assert len(found) == 1, [(item["kind"], item["metadata"]["name"]) for item in objects]
    return found[0]


def operator_of(objects: Rendered) -> Any:
    (container,) = one(objects, "Deployment")["spec"]["template"]["spec"]["containers"]
    return container


def config_of(objects: Rendered) -> OperatorConfig:
    """Return the configuration as the operator itself will read it, unknown fields refused."""
    (found,) = [item for item in objects if item["kind"] == "ConfigMap" and "config.yaml" in item["data"]]
    return parse_config(yaml.safe_load(found["data"]["config.yaml"]), "config.yaml")


def test_helm_lint_finds_nothing() -> None:
    done = helm("lint", "--strict", str(CHART))

    assert done.returncode == 0, done.stdout + done.stderr
    assert "[WARNING]" not in done.stdout


def test_versions_agree() -> None:
    chart = load(CHART / "Chart.yaml")

    assert chart["version"] == chart["appVersion"] == __version__


def test_the_kinds_of_each_mode(chart: Chart) -> None:
    def kinds(values: Any) -> dict[str, int]:
        names = [item["kind"] for item in chart(values)]
        return {name: names.count(name) for name in sorted(set(names))}

    base = {"ConfigMap": 1, "Deployment": 1}
    assert kinds(NOTHING) == base
    assert kinds({}) == {
        **base,
        "ClusterRole": 4,
        "ClusterRoleBinding": 1,
        "CustomResourceDefinition": 3,
        "Pod": 1,
        "PodDisruptionBudget": 1,
        "Role": 1,
        "RoleBinding": 1,
        "Service": 1,
        "ServiceAccount": 1,
        "ValidatingAdmissionPolicy": 2,
        "ValidatingAdmissionPolicyBinding": 2,
    }
    assert kinds(NAMESPACED) == {
        **{key: value for key, value in kinds({}).items() if key != "ClusterRoleBinding"},
        "ClusterRole": 3,
        "Role": 3,
        "RoleBinding": 3,
    }
    assert kinds(EVERYTHING) == {
        **base,
        "ConfigMap": 3,
        "ClusterRole": 1,
        "CustomResourceDefinition": 3,
        "NetworkPolicy": 1,
        "Pod": 1,
        "PodDisruptionBudget": 1,
        "PodMonitor": 1,
        "PrometheusRule": 1,
        "Role": 2,
        "RoleBinding": 2,
        "Service": 1,
        "ServiceAccount": 1,
        "ServiceMonitor": 1,
        "ValidatingAdmissionPolicy": 2,
        "ValidatingAdmissionPolicyBinding": 2,
    }


@pytest.fixture(scope="session")
def schemas(server: Server, chart: Chart, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Schemas for kubeconform, from the API server itself, so that nothing is fetched."""
    folder = tmp_path_factory.mktemp("schemas")
    rendered = [item for values in MODES.values() for item in chart(values)]
    kinds = {(item["apiVersion"], item["kind"]) for item in (*rendered, *map(load, accepted()))}
    write_schemas(server.must("GET", "/openapi/v2"), kinds, folder)
    return folder


def kubeconform(schemas: Path, text: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    where = f"{schemas}/{LOCATION}"
    command = [str(api.binary("kubeconform")), "-strict", "-summary", "-schema-location", where, *arguments, "-"]
    return subprocess.run(command, input=text, capture_output=True, text=True, timeout=240, check=False)


@by_mode
def test_kubeconform_agrees(chart: Chart, schemas: Path, values: Any) -> None:
    done = kubeconform(schemas, dump(chart(values)), "-skip", ",".join(PROMETHEUS_OPERATOR))

    assert done.returncode == 0, done.stdout + done.stderr
    assert "Invalid: 0, Errors: 0" in done.stdout


def test_kubeconform_agrees_with_our_resources_and_sees_mistakes(schemas: Path) -> None:
    texts = "\n---\n".join(path.read_text() for path in accepted())

    good = kubeconform(schemas, texts)
    bad = kubeconform(schemas, texts.replace("image: registry", "imago: registry"))

    assert good.returncode == 0, good.stdout + good.stderr
    assert bad.returncode == 1
    assert "additional properties 'imago' not allowed" in bad.stdout


@by_mode
def test_a_real_api_server_takes_it(server: Server, chart: Chart, values: Any) -> None:
    for name in (RELEASE_NAMESPACE, "team-a", "team-b", "monitoring"):
        server.send("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    objects = [item for item in chart(values) if item["kind"] not in PROMETHEUS_OPERATOR]

    said = kubectl(
        server.kubeconfig,
        *("apply", "--server-side", "--force-conflicts", "--dry-run=server", "--validate=strict", "-f", "-"),
        text=dump(objects),
    )

    assert said.count("serverside-applied") == len(objects)
    assert "warning" not in said.lower()


@by_mode
def test_pods_are_restricted(server: Server, chart: Chart, values: Any) -> None:
    """Pod Security admission itself judges the pods, and what it leaves open is looked at here."""
    label = {"pod-security.kubernetes.io/enforce": "restricted"}
    server.send("POST", "/api/v1/namespaces", {"metadata": {"name": "restricted", "labels": label}})
    objects = chart(values)
    template = one(objects, "Deployment")["spec"]["template"]
    pods = [template, *(item for item in objects if item["kind"] == "Pod")]
    for pod in pods:
        spec = {
            key: value for key, value in pod["spec"].items() if key not in {"serviceAccountName", "priorityClassName"}
        }
        body = {"metadata": {"name": "judged"}, "spec": {**spec, "automountServiceAccountToken": False}}
        server.send("POST", "/api/v1/namespaces/restricted/serviceaccounts", {"metadata": {"name": "default"}})
        server.must("POST", "/api/v1/namespaces/restricted/pods?dryRun=All", body)
        assert spec["securityContext"]["runAsUser"] == 65532
        (container,) = spec["containers"]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert "memory" in container["resources"]["limits"]
        assert not any(volume.get("hostPath") for volume in spec.get("volumes", []))


@pytest.mark.parametrize(
    ("url", "port"),
    [("http://prometheus.monitoring.svc:9090", 9090), ("http://prometheus/base", 80), ("https://p.example", 443)],
)
def test_the_operators_network_policy_lets_the_reads_of_gates_out(chart: Chart, url: str, port: int) -> None:
    def egress(config: dict[str, Any], **more: Any) -> list[Any]:
        objects = chart({"networkPolicy": {"enabled": True, "apiServerPorts": [6443], **more}, "config": config})
        return [item["port"] for rule in one(objects, "NetworkPolicy")["spec"]["egress"] for item in rule["ports"]]

    assert egress({}) == [53, 53, 9464, 8002, 8080, 8082, 6443]
    assert egress({"prometheus": {"url": url}}, metricsPorts=[9100]) == [
        53,
        53,
        9464,
        8002,
        8080,
        8082,
        9100,
        port,
        6443,
    ]


def test_two_replicas_take_turns(chart: Chart) -> None:
    spec = one(chart({}), "Deployment")["spec"]

    assert spec["replicas"] == 2
    assert spec["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    assert config_of(chart({})).leader_election.enabled
    assert one(chart(NOTHING), "Deployment")["spec"]["strategy"] == {"type": "Recreate"}


def test_the_process_and_its_probes(chart: Chart) -> None:
    container = operator_of(chart(EVERYTHING))

    assert container["image"] == f"registry.example/perennial@{DIGEST}"
    assert container["args"] == ["operator", "--config", "/etc/perennial/config.yaml", "--use-proxy-env"]
    assert container["ports"] == [{"name": "http", "containerPort": 9090, "protocol": "TCP"}]
    assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "http"}
    assert container["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "http"}
    assert {item["name"] for item in container["env"]} == {"POD_NAME", "POD_NAMESPACE", "HTTPS_PROXY"}
    assert operator_of(chart({}))["image"] == f"localhost/perennial:{__version__}"


def test_an_operator_that_starts_slowly_or_answers_late_is_not_killed_at_once(chart: Chart) -> None:
    """On a node without free CPU a restart only adds to the load, and the operator would never come up."""
    container = operator_of(chart({}))
    start, live = container["startupProbe"], container["livenessProbe"]

    assert start["httpGet"] == live["httpGet"]
    assert start["failureThreshold"] * start["periodSeconds"] >= 300
    assert live["failureThreshold"] * live["periodSeconds"] >= 60
    assert live["timeoutSeconds"] >= 10


def test_the_operator_reads_what_the_values_say(chart: Chart) -> None:
    config = config_of(chart(EVERYTHING))

    assert config.watch_namespaces == ("team-a",)
    assert config.agent.image == f"registry.example/perennial@{DIGEST}"
    assert config.agent.image_pull_policy == "Always"
    assert config.agent.resources.limits == {"memory": "2Gi"}
    assert config.agent.resources.requests == {"cpu": "20m", "memory": "128Mi"}
    assert set(config.runtimes) == {*PRESETS, "own"}
    assert config.leader_election.lease_seconds == 30
    assert config.queue.writes_per_second == 12.5
    assert config.http_port == 9090


def test_the_defaults_are_the_models_own(chart: Chart) -> None:
    config = config_of(chart({}))

    own = OperatorConfig(
        agent=OperatorConfig().agent.model_copy(update={"image": f"localhost/perennial:{__version__}"}),
        runtimes=PRESETS,
    )
    assert config == own


def test_the_agent_is_pulled_like_the_operator_unless_it_is_another(chart: Chart) -> None:
    same = config_of(chart({"image": {"pullPolicy": "Never"}})).agent
    other = config_of(chart({"image": {"pullPolicy": "Never"}, "config": {"agent": {"image": "a:1"}}})).agent

    assert (same.image, same.image_pull_policy) == (f"localhost/perennial:{__version__}", "Never")
    assert (other.image, other.image_pull_policy) == ("a:1", None)


def test_a_changed_configuration_makes_new_pods(chart: Chart) -> None:
    def checksum(values: Any) -> str:
        return str(one(chart(values), "Deployment")["spec"]["template"]["metadata"]["annotations"]["checksum/config"])

    assert checksum({}) != checksum({"config": {"logLevel": "debug"}})
    assert checksum({}) == checksum({"podLabels": {"a": "b"}})


def test_crds_are_the_same_everywhere_but_for_what_values_ask(chart: Chart) -> None:
    for path in sorted((ROOT / "crds").glob("*.yaml")):
        committed = load(path)
        name = committed["metadata"]["name"]
        kept = one(chart({}), "CustomResourceDefinition", name)
        marked = one(chart(EVERYTHING), "CustomResourceDefinition", name)
        assert kept["spec"] == marked["spec"] == committed["spec"]
        assert kept["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
        assert marked["metadata"]["annotations"] == {"argocd.argoproj.io/sync-options": "ServerSideApply=true"}


def test_the_test_hook_asks_through_the_service(chart: Chart) -> None:
    objects = chart(EVERYTHING)
    pod, service = one(objects, "Pod"), one(objects, "Service")

    assert pod["metadata"]["annotations"]["helm.sh/hook"] == "test"
    address = f"http://{service['metadata']['name']}.{RELEASE_NAMESPACE}:80/readyz"
    assert pod["spec"]["containers"][0]["command"][-1] == address
    selector = service["spec"]["selector"].items()
    assert selector <= one(objects, "Deployment")["spec"]["template"]["metadata"]["labels"].items()
    assert not selector <= pod["metadata"]["labels"].items()


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"replica": 3}, "additional properties 'replica' not allowed"),
        ({"config": {"logLevl": "debug"}}, "at '/config': additional properties 'logLevl' not allowed"),
        ({"config": {"logLevel": "loud"}}, "at '/config/logLevel': value must be one of 'debug', 'info'"),
        ({"replicas": "two"}, "at '/replicas': got string, want integer"),
        ({"replicas": 0}, "at '/replicas': minimum: got 0, want 1"),
        ({"image": {"digest": "sha256:12"}}, "at '/image/digest': 'sha256:12' does not match pattern"),
        ({"config": {"runtimes": {"own": {"args": []}}}}, "at '/config/runtimes/own': missing property 'image'"),
        ({"config": {"agent": {"resources": {"limits": {"memory": "1gb"}}}}}, "'1gb' does not match pattern"),
        ({"config": {"queue": {"backoffSeconds": 0}}}, "at '/config/queue/backoffSeconds': exclusiveMinimum"),
        ({"config": {"leaderElection": {"enabled": False}}}, "two replicas without leader election would both act"),
        ({"config": {"leaderElection": {"renewSeconds": 20}}}, "retrySeconds must be less than renewSeconds"),
        ({"serviceAccount": {"create": False}}, "serviceAccount.name must name an account"),
        (
            {"metrics": {"service": {"enabled": False}, "serviceMonitor": {"enabled": True}}},
            "serviceMonitor.enabled needs metrics.service.enabled",
        ),
    ],
    ids=lambda value: json.dumps(value) if isinstance(value, dict) else "",
)
def test_wrong_values_are_refused_in_words(values: Any, says: str) -> None:
    done = render(values)

    assert done.returncode != 0
    assert says in done.stderr


def test_null_unsets_a_value(chart: Chart) -> None:
    done = render({"config": {"runtimes": dict.fromkeys(PRESETS)}, "image": {"pullPolicy": None}})

    assert done.returncode == 0, done.stderr
    assert config_of(documents(done.stdout)).runtimes == {}


def test_works_as_a_part_of_another_chart(tmp_path: Path) -> None:
    parent = tmp_path / "parent"
    (parent / "charts").mkdir(parents=True)
    (parent / "charts" / "perennial").symlink_to(CHART)
    (parent / "Chart.yaml").write_text("apiVersion: v2\nname: parent\nversion: 0.1.0\n")
    (parent / "values.yaml").write_text("global: {region: eu}\nperennial: {replicas: 1}\n")

    done = helm("template", "whole", str(parent))

    assert done.returncode == 0, done.stderr
    assert "name: whole-perennial\n" in done.stdout


@by_mode
def test_both_majors_of_helm_render_the_same(values: dict[str, Any]) -> None:
    of_three, of_four = render(values, program="helm3"), render(values)

    assert of_three.returncode == 0, of_three.stderr
    assert documents(of_three.stdout) == documents(of_four.stdout)


@pytest.mark.parametrize("program", ["helm", "helm3"])
def test_install_upgrade_rollback_uninstall_and_again(server: Server, program: str) -> None:
    """On a control plane without nodes: what Helm does to objects. Pods run in the end-to-end tests."""
    namespace = f"lifecycle-{program}"
    where = ("--namespace", namespace, "--kubeconfig", str(server.kubeconfig))
    common = ("perennial", str(CHART), *where)
    run = partial(helm, program=program)
    # The fixture's own CRDs are taken over, as those of an earlier installation are.
    first = run("install", *common, "--create-namespace", "--take-ownership")
    assert first.returncode == 0, first.stderr
    assert f"kubectl --namespace {namespace} rollout status deployment/perennial" in first.stdout
    deployment = f"/apis/apps/v1/namespaces/{namespace}/deployments/perennial"
    before = server.must("GET", deployment)

    upgraded = run("upgrade", *common, "--set", "config.logLevel=debug,replicas=1")
    assert upgraded.returncode == 0, upgraded.stderr
    after = server.must("GET", deployment)
    back = run("rollback", "perennial", "1", *where)
    restored = server.must("GET", deployment)
    gone = run("uninstall", "perennial", *where)
    assert gone.returncode == 0, gone.stderr
    again = run("install", *common)
    crds = server.must("GET", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions")["items"]
    run("uninstall", "perennial", *where)

    assert before["spec"]["template"] != after["spec"]["template"]
    assert after["spec"]["replicas"] == 1
    assert back.returncode == 0, back.stderr
    assert restored["spec"] == before["spec"]
    assert again.returncode == 0, again.stderr
    assert len(crds) == 3
    assert server.send("GET", deployment).status == 404


def test_alerts_link_to_their_runbooks_only_where_they_are_published(chart: Chart) -> None:
    def annotations(values: Any) -> list[dict[str, str]]:
        (rule,) = [item for item in chart(values) if item["kind"] == "PrometheusRule"]
        return [alert["annotations"] for group in rule["spec"]["groups"] for alert in group["rules"]]

    plain = annotations({"metrics": {"prometheusRule": {"enabled": True}}})
    linked = annotations(EVERYTHING)
    assert len(plain) == len(linked) > 10
    assert not any("runbook_url" in item for item in plain)
    assert linked[0]["runbook_url"] == "https://docs.example/a#perennialnoleader"
    assert any("{{ $labels.name }}" in item["summary"] for item in plain)


def test_prometheus_takes_the_labels_of_resources_as_they_are(chart: Chart) -> None:
    """The Prometheus Operator gives each target a label namespace, the operator's own, which would replace them."""
    (endpoint,) = one(chart(EVERYTHING), "ServiceMonitor")["spec"]["endpoints"]
    assert endpoint["honorLabels"] is True


def test_dashboards_are_config_maps_that_grafanas_sidecar_finds(chart: Chart) -> None:
    made = [item for item in chart(EVERYTHING) if item["metadata"]["labels"].get("grafana_dashboard") == "1"]
    assert sorted(key for item in made for key in item["data"]) == ["fleet.json", "model.json"]
    assert {item["metadata"]["namespace"] for item in made} == {"monitoring"}
    for item in made:
        for text in item["data"].values():
            assert json.loads(text)["panels"]
