"""Add-ons fit together, and the small clients say the truth."""

import json
import socket
import threading
from pathlib import Path

import pytest

from tools.cluster import addons, kube, kwok, ociarchive
from tools.cluster.errors import ClusterError
from tools.cluster.plan import Plan

PLAN = Plan("test", 1, 1, "1.37.2", "/usr/lib/cni", can_lower_oom_score=True, overlay=True)


def find(documents: list[tuple[str, dict[str, object]]], kind: str) -> list[tuple[str, dict[str, object]]]:
    return [(path, document) for path, document in documents if document["kind"] == kind]


def test_dns_has_the_address_that_the_kubelet_tells_pods() -> None:
    ((path, service),) = find(addons.dns(PLAN), "Service")
    assert path == "/api/v1/namespaces/kube-system/services/kube-dns"
    assert isinstance(service["spec"], dict)
    assert service["spec"]["clusterIP"] == str(PLAN.network.dns)


def test_every_path_ends_with_the_name_inside() -> None:
    for path, document in [*addons.dns(PLAN), *addons.metrics()]:
        metadata = document["metadata"]
        assert isinstance(metadata, dict)
        assert path.endswith(f"/{metadata['name']}")
        assert path.startswith("/apis/" if "/" in str(document["apiVersion"]) else "/api/v1/")


def test_add_ons_use_images_that_are_loaded_by_hand() -> None:
    for program, documents in (("coredns", addons.dns(PLAN)), ("metrics-server", addons.metrics())):
        ((_, deployment),) = find(documents, "Deployment")
        assert f"'image': '{ociarchive.program_image(program)}'" in str(deployment)
        assert "'imagePullPolicy': 'Never'" in str(deployment)


def test_add_ons_are_no_administrators() -> None:
    assert "cluster-admin" not in str([*addons.dns(PLAN), *addons.metrics()])


def test_a_pretended_node_repels_real_pods() -> None:
    node = kwok.node(7)
    assert "'name': 'kwok-0007'" in str(node["metadata"])
    assert node["spec"] == {"taints": [{"key": "kwok.x-k8s.io/node", "value": "fake", "effect": "NoSchedule"}]}


@pytest.mark.parametrize(
    ("flags", "answers", "expected"),
    [(0x8580, 1, True), (0x8583, 0, False), (0x8580, 0, False)],
    ids=["found", "nxdomain", "empty"],
)
def test_a_dns_answer_counts_only_with_an_address(
    monkeypatch: pytest.MonkeyPatch, flags: int, answers: int, expected: bool
) -> None:
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", 0))

    def answer() -> None:
        query, sender = server.recvfrom(512)
        counts = b"\x00\x01" + answers.to_bytes(2, "big") + b"\x00\x00\x00\x00"
        server.sendto(query[:2] + flags.to_bytes(2, "big") + counts + query[12:], sender)

    thread = threading.Thread(target=answer)
    thread.start()
    monkeypatch.setattr(kube, "DNS_PORT", server.getsockname()[1])
    assert kube.resolves("127.0.0.1", "kubernetes.default.svc.cluster.local") is expected
    thread.join()
    server.close()


def test_a_silent_dns_server_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        monkeypatch.setattr(kube, "DNS_PORT", silent.getsockname()[1])
        monkeypatch.setattr(kube, "DNS_SECONDS", 0.05)
        assert kube.resolves("127.0.0.1", "name") is False


def test_waiting_in_vain_ends_with_the_warnings_of_the_system(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    api = kube.Api("https://127.0.0.1:1", tmp_path)
    events = {"items": [{"type": "Warning", "message": "no mount", "involvedObject": {"name": "coredns-1"}}]}
    monkeypatch.setattr(kube.Api, "call", lambda *_: json.dumps(events).encode())
    with pytest.raises(ClusterError) as error:
        kube.Patience(api, lambda: True, tmp_path).until(lambda: False, "the cluster's DNS", 0)
    assert "the cluster's DNS did not come" in error.value.what
    assert "coredns-1: no mount" in error.value.what


def test_waiting_ends_when_the_cluster_does(tmp_path: Path) -> None:
    api = kube.Api("https://127.0.0.1:1", tmp_path)
    with pytest.raises(ClusterError, match="the cluster ended while waiting for a node"):
        kube.Patience(api, lambda: False, tmp_path).until(lambda: False, "a node", 60)


def test_an_api_server_that_is_not_there_is_no_answer_yet(tmp_path: Path) -> None:
    answers = iter([kube.ApiError(0, "refused"), kube.ApiError(503, "later"), None])

    def ready() -> bool:
        answer = next(answers)
        if answer is not None:
            raise answer
        return True

    kube.Patience(kube.Api("https://127.0.0.1:1", tmp_path), lambda: True, tmp_path).until(ready, "x", 60)
    assert next(answers, "asked three times") == "asked three times"
