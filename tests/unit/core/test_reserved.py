"""What pods reserve: Kubernetes' effective requests, of pods that are on a node."""

from decimal import Decimal
from typing import Any

import pytest

from perennial.core.kinds import TRAINING_JOB, Raw
from perennial.core.reserved import reserved, reserved_gauges


def container(cpu: str = "", policy: str = "", **others: str) -> dict[str, Any]:
    requests = {**({"cpu": cpu} if cpu else {}), **others}
    return {"resources": {"requests": requests}, **({"restartPolicy": policy} if policy else {})}


def pod(*containers: dict[str, Any], phase: str = "Running", node: str = "n1", **spec: Any) -> Raw:
    return {"spec": {"nodeName": node, "containers": list(containers), **spec}, "status": {"phase": phase}}


def cores(found: Raw) -> Decimal:
    return reserved(found)["cpu"]


def test_containers_that_run_together_add_up() -> None:
    assert reserved(pod(container("500m", memory="1Gi"), container("1", memory="512Mi"))) == {
        "cpu": Decimal("1.5"),
        "memory": Decimal(3 * 2**29),
    }


@pytest.mark.parametrize(
    ("begun", "expected"),
    [
        ([container("3")], "3"),
        ([container("1"), container("1")], "2"),
        ([container("1", "Always")], "3"),
        ([container("1", "Always"), container("4")], "5"),
        ([container("4"), container("1", "Always")], "4"),
        ([container("1", "Always"), container("1", "Always")], "4"),
    ],
    ids=["larger", "smaller", "sidecar", "beside-a-sidecar", "before-a-sidecar", "two-sidecars"],
)
def test_init_containers_run_one_after_another_beside_earlier_sidecars(
    begun: list[dict[str, Any]], expected: str
) -> None:
    assert cores(pod(container("2"), initContainers=begun)) == Decimal(expected)


def test_requests_of_the_pod_take_the_place_of_the_sum_and_overhead_is_added() -> None:
    found = pod(
        container("2", **{"nvidia.com/gpu": "1"}), resources={"requests": {"cpu": "1"}}, overhead={"cpu": "250m"}
    )
    assert reserved(found) == {"cpu": Decimal("1.25"), "nvidia.com/gpu": Decimal(1)}


@pytest.mark.parametrize(
    "gone",
    [pod(container("1"), phase="Succeeded"), pod(container("1"), phase="Failed"), pod(container("1"), node="")],
    ids=["succeeded", "failed", "without-a-node"],
)
def test_a_pod_without_a_node_or_past_its_end_reserves_nothing(gone: Raw) -> None:
    assert reserved(gone) == {}


@pytest.mark.parametrize(
    "bare",
    [
        {"spec": {"nodeName": "n1"}},
        {"spec": {"nodeName": "n1", "containers": None, "initContainers": None}},
        pod({}, {"resources": None}, {"resources": {"requests": None}}),
    ],
)
def test_a_pod_that_asks_for_nothing_reserves_nothing(bare: Raw) -> None:
    assert reserved(bare) == {}


def test_gauges_are_sums_over_pods_and_zero_without_any() -> None:
    def values(*pods: Raw) -> dict[str, float]:
        found = reserved_gauges(TRAINING_JOB, pods)
        assert {gauge.name for gauge in found} == {"perennial_reserved"}
        assert {dict(gauge.labels)["kind"] for gauge in found} == {"TrainingJob"}
        return {dict(gauge.labels)["resource"]: gauge.value for gauge in found}

    assert values() == {"cpu": 0, "memory": 0}
    device = container("1", **{"nvidia.com/gpu": "2"})
    assert values(pod(device), pod(device), pod(device, phase="Failed")) == {
        "cpu": 2,
        "memory": 0,
        "nvidia.com/gpu": 4,
    }


def test_a_pod_of_many_names_does_not_make_many_series() -> None:
    many = container("1", **{f"example.com/device-{number}": "1" for number in range(20)})
    found = reserved_gauges(TRAINING_JOB, [pod(many)])
    assert [dict(gauge.labels)["resource"] for gauge in found][:3] == ["cpu", "memory", "example.com/device-0"]
    assert len(found) == 8
