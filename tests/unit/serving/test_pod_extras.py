"""Account, user, devices and spread of serving pods, and what the installation forbids of them."""

from __future__ import annotations

from typing import Any

import pytest

from perennial.api.contract.settings import PodRules
from tests.support.builders import model_deployment
from tests.unit.serving.cluster import CONFIG, Cluster

ALLOWING = PodRules(service_accounts=("server",))


def settled(rules: PodRules, **spec: Any) -> Cluster:
    """Return a cluster with a first revision, in an installation with such rules."""
    cluster = Cluster(model_deployment(**spec), config=CONFIG.model_copy(update={"pods": rules}))
    cluster.publish("a")
    cluster.settle()
    return cluster


def pod(rules: PodRules, **spec: Any) -> dict[str, Any]:
    cluster = settled(rules, **spec)
    (name,) = cluster.names("Deployment")
    found: dict[str, Any] = cluster.live("Deployment", name)["spec"]["template"]["spec"]
    return found


def test_what_the_spec_asks_for_reaches_the_pod() -> None:
    found = pod(
        ALLOWING,
        serviceAccountName="server",
        security={"runAsUser": 1000},
        resourceClaims=[{"name": "gpu", "resourceClaimTemplateName": "one-gpu"}],
        resources={"limits": {"memory": "1Gi"}},
        spread=[{"topologyKey": "zone", "required": True}],
    )
    (server,) = found["containers"]
    assert (found["serviceAccountName"], found["automountServiceAccountToken"]) == ("server", False)
    assert server["securityContext"]["runAsUser"] == 1000
    assert server["resources"] == {"limits": {"memory": "1Gi"}, "claims": [{"name": "gpu"}]}
    assert found["resourceClaims"] == [{"name": "gpu", "resourceClaimTemplateName": "one-gpu"}]
    (spread,) = found["topologySpreadConstraints"]
    assert (spread["topologyKey"], spread["whenUnsatisfiable"]) == ("zone", "DoNotSchedule")


def test_pods_are_spread_over_nodes_by_themselves() -> None:
    (spread,) = pod(PodRules())["topologySpreadConstraints"]
    assert (spread["topologyKey"], spread["whenUnsatisfiable"]) == ("kubernetes.io/hostname", "ScheduleAnyway")


def test_a_rule_against_root_makes_a_revision_of_its_own() -> None:
    strict = settled(PodRules(allow_root=False))
    (name,) = strict.names("Deployment")
    server = strict.live("Deployment", name)["spec"]["template"]["spec"]["containers"][0]
    assert server["securityContext"]["runAsNonRoot"] is True
    assert [name] != settled(PodRules()).names("Deployment"), "no pod is exchanged in place"


@pytest.mark.parametrize(
    ("rules", "spec"),
    [
        (ALLOWING, {"serviceAccountName": "admin"}),
        (PodRules(), {"serviceAccountName": "server"}),
        (PodRules(allow_root=False), {"security": {"runAsUser": 0}}),
    ],
)
def test_what_is_forbidden_is_not_made_and_says_why(rules: PodRules, spec: dict[str, Any]) -> None:
    cluster = settled(rules, **spec)
    stalled = cluster.condition("Stalled") or {}
    assert stalled["reason"] == "PodsNotAllowed"
    assert "config.pods" in stalled["message"]
    assert cluster.names("Deployment") == []


@pytest.mark.parametrize(("spec", "seconds"), [({}, 45), ({"terminationGracePeriodSeconds": 900}, 900)])
def test_long_streams_may_finish(spec: dict[str, Any], seconds: int) -> None:
    assert pod(PodRules(), **spec)["terminationGracePeriodSeconds"] == seconds


def test_another_grace_period_is_another_revision() -> None:
    """Pods are not exchanged in place, so that open requests of the old ones can finish."""
    plain, longer = settled(PodRules()), settled(PodRules(), terminationGracePeriodSeconds=900)
    assert plain.names("Deployment") != longer.names("Deployment")
