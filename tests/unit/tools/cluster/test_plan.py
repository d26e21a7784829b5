"""From a plan to certificates, arguments and configuration files."""

import json
import subprocess
import tomllib
from pathlib import Path

import pytest

from tools.cluster import config, daemons, pki, plan
from tools.cluster.errors import ClusterError
from tools.cluster.plan import INSIDE, Plan


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    made = Plan("test", 2, 2, "1.37.2", "/usr/lib/cni", can_lower_oom_score=False, overlay=True)
    made.state.mkdir(parents=True)
    return made


def flags(daemon: daemons.Daemon) -> dict[str, str]:
    pairs = (argument.removeprefix("--").partition("=") for argument in daemon.argv[1:])
    return {key: value for key, _, value in pairs}


def test_a_plan_survives_its_file(made: Plan) -> None:
    made.save()
    assert plan.load(made.state) == made


@pytest.mark.parametrize("text", ["", "{", "[]", '{"name": "x"}', '{"unknown": 1}'])
def test_a_damaged_plan_is_none(made: Plan, text: str) -> None:
    (made.state / "cluster.json").write_text(text)
    assert plan.load(made.state) is None


@pytest.mark.parametrize("name", ["", "-a", "a-", "A", "a_b", "a/b", "..", "x" * 33])
def test_bad_names_are_refused(name: str) -> None:
    with pytest.raises(ClusterError, match="not a cluster name"):
        plan.check_request(name, 1)


@pytest.mark.parametrize("nodes", [-1, 9])
def test_impossible_node_counts_are_refused(nodes: int) -> None:
    with pytest.raises(ClusterError, match="not possible"):
        plan.check_request("dev", nodes)


def test_the_api_server_serves_by_the_address_it_advertises(made: Plan) -> None:
    arguments = flags(daemons.api_server(made))
    assert arguments["advertise-address"] == "198.18.2.2"
    assert arguments["service-cluster-ip-range"] == str(made.network.services)
    serving = next(each for each in pki.certificates(made) if each.name == "apiserver")
    assert {"IP:198.18.2.2", f"IP:{made.network.kubernetes}", "DNS:kubernetes.default.svc"} <= set(serving.names)


def test_aggregation_flags_are_complete(made: Plan) -> None:
    arguments = flags(daemons.api_server(made))
    assert {key for key in arguments if key.startswith("requestheader-")} == {
        "requestheader-client-ca-file",
        "requestheader-allowed-names",
        "requestheader-extra-headers-prefix",
        "requestheader-group-headers",
        "requestheader-username-headers",
    }
    assert arguments["enable-aggregator-routing"] == "true"


def test_no_daemon_uses_a_path_of_the_host(made: Plan) -> None:
    all_daemons = [
        daemons.etcd(),
        daemons.api_server(made),
        daemons.controller_manager(),
        daemons.scheduler(),
        daemons.kwok(),
        *(each for node in (1, 2) for each in (daemons.containerd(node), daemons.kubelet(made, node))),
        daemons.kube_proxy(1),
    ]
    for daemon in all_daemons:
        assert str(made.state) not in " ".join(daemon.argv)
        assert daemon.argv[0].startswith("/run/perennial-path/")


def test_each_node_has_a_certificate_for_its_own_address(made: Plan) -> None:
    found = {each.name: each for each in pki.certificates(made)}
    assert "/CN=system:node:node2" in found["node2"].subject
    assert f"IP:{made.network.node(2)}" in found["node2"].names


def test_each_node_has_a_cgroup_root_of_its_own(made: Plan) -> None:
    roots = {config.kubelet(made, node)["cgroupRoot"] for node in (1, 2)}
    assert roots == {"/perennial/test/node1", "/perennial/test/node2"}


def test_the_runtime_follows_what_the_machine_allows(made: Plan) -> None:
    text = config.toml(config.containerd(made, 1))
    parsed = tomllib.loads(text)
    assert parsed == config.containerd(made, 1)
    runtime = parsed["plugins"]["io.containerd.cri.v1.runtime"]
    assert runtime["restrict_oom_score_adj"] is True
    assert parsed["plugins"]["io.containerd.cri.v1.images"]["snapshotter"] == "overlayfs"


def test_the_socket_path_is_short_wherever_the_cache_is(made: Plan) -> None:
    # 108 bytes is the limit of sun_path; the host's side adds /proc/<pid>/root.
    assert len("/proc/4194304/root" + config.socket(8)) < 108


def test_pods_of_a_node_come_from_its_range(made: Plan) -> None:
    text = json.dumps(config.cni(made, 2))
    assert str(made.network.pods_of(2)) in text
    assert str(made.network.pods_of(1)) not in text


def test_written_files_are_complete_and_private(made: Plan) -> None:
    config.write_all(made)
    admin = made.state / "admin.kubeconfig"
    assert admin.stat().st_mode & 0o077 == 0
    cluster = json.loads(admin.read_text())["clusters"][0]["cluster"]
    assert cluster["server"] == "https://198.18.2.2:6443"
    assert "certificate-authority-data" in cluster
    assert (made.state / "pki").stat().st_mode & 0o077 == 0
    for node in (1, 2):
        folder = made.state / "conf" / f"node{node}"
        assert json.loads((folder / "kubelet.json").read_text())["kind"] == "KubeletConfiguration"
        assert json.loads((folder / "kubelet.kubeconfig").read_text())["users"][0]["user"] == {
            "client-certificate": f"{INSIDE}/pki/node{node}.crt",
            "client-key": f"{INSIDE}/pki/node{node}.key",
        }


def test_certificates_are_valid_for_their_names(made: Plan) -> None:
    folder = made.state / "pki"
    pki.make_all(made, folder)
    verify = ["openssl", "verify", "-CAfile", "ca.crt", "-verify_ip", "198.18.2.2", "apiserver.crt"]
    assert subprocess.run(verify, cwd=folder, capture_output=True, check=False).returncode == 0
    front = ["openssl", "verify", "-CAfile", "ca.crt", "front-proxy.crt"]
    assert subprocess.run(front, cwd=folder, capture_output=True, check=False).returncode != 0
