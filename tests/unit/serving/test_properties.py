"""What holds whatever happens: models and specs change, pods come up, crash and vanish, writes are lost.

A plain list of steps rather than a rule machine: that one leaves out rules by swarm, and hardly ever serves anything.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, event, example, given, settings
from hypothesis import strategies as st

from perennial.core.kinds import SERVICE
from perennial.core.labels import REVISION_LABEL
from tests.support.builders import looping, model_deployment, terminated
from tests.unit.serving.cluster import Cluster

CRASHED = {
    "containerStatuses": [
        looping("server", 3, terminated(1)),
    ]
}
KINDS = ("Deployment", "Service", "PodDisruptionBudget", "HorizontalPodAutoscaler")
STRATEGIES = ("BlueGreen", "Canary", "Recreate", "Auto")
REPLICAS = ((1, 1), (2, 2), (1, 4), (3, 6))


class Life:
    """A ModelDeployment's life, in steps that each hold the outcome against what was to be seen before."""

    def __init__(self, replicas: tuple[int, int], strategy: str) -> None:
        spec = {"replicas": {"min": replicas[0], "max": replicas[1]}, "rollout": {"strategy": strategy}}
        self.cluster = Cluster(model_deployment(**spec))
        self.cluster.publish("a")
        self.rollouts = 0

    def publish(self, number: int) -> None:
        self.cluster.publish("abc"[number % 3], number)
        self.reconcile()

    def edit(self, number: int) -> None:
        self.cluster.edit(runtime={"name": "sklearn", "env": [{"name": "A", "value": str(number % 3)}]})
        self.reconcile()

    def scale(self, number: int) -> None:
        low, high = REPLICAS[number % len(REPLICAS)]
        self.cluster.edit(replicas={"min": low, "max": high})
        self.reconcile()

    def misname_the_runtime(self, _: int) -> None:
        self.cluster.edit(runtime={"name": "unknown"})
        self.reconcile()

    def lose_the_training_job(self, _: int) -> None:
        self.cluster.remove("TrainingJob", "churn")
        self.reconcile()

    def candidate_becomes_ready(self, _: int) -> None:
        self._candidate(None)

    def candidate_half_ready(self, _: int) -> None:
        self._candidate(1)

    def candidate_crashes(self, _: int) -> None:
        self._candidate(0)

    def stable_fares(self, number: int) -> None:
        stable = self.cluster.status.get("stable")
        if stable and stable["name"] in self.cluster.names("Deployment"):
            self.cluster.set_ready(stable["name"], (0, 1, None, None)[number % 4])
            self.reconcile()

    def pods_recover(self, _: int) -> None:
        for name in self.cluster.names("Pod"):
            self.cluster.remove("Pod", name)
        for name in self.cluster.names("Deployment"):
            self.cluster.set_ready(name)
        self.reconcile()

    def change_the_strategy(self, number: int) -> None:
        self.cluster.edit(rollout={"strategy": STRATEGIES[number % len(STRATEGIES)]})
        self.reconcile()

    def wait(self, number: int) -> None:
        self.cluster.wait((1, 31, 601)[number % 3])
        self.reconcile()

    def delete_by_hand(self, number: int) -> None:
        kind = KINDS[number % len(KINDS)]
        for name in self.cluster.names(kind)[:1]:
            self.cluster.remove(kind, name)
        self.reconcile()

    def empty_the_status_by_hand(self, _: int) -> None:
        self.cluster.resource = {**self.cluster.resource, "status": {}}
        self.reconcile()

    def lose_the_status_write(self, _: int) -> None:
        before = self.cluster.resource
        self.reconcile()
        self.cluster.resource = before

    def rest(self, _: int) -> None:
        self.settle()
        self.cluster.wait(31)
        self.settle()
        status = self.cluster.status
        assert "previous" not in status
        roles = {status[role]["name"] for role in ("stable", "candidate") if role in status}
        if not set(self.cluster.names("Deployment")) <= roles and "stable" in status:
            # A split that ends lasts until enough pods of the stable revision are available.
            self.cluster.set_ready(status["stable"]["name"])
            self.settle()
        assert set(self.cluster.names("Deployment")) <= roles, "nothing is left behind"

    def settle(self) -> None:
        for _ in range(10):
            if not self.reconcile():
                return
        raise AssertionError("it never comes to rest")

    def reconcile(self) -> int:
        cluster = self.cluster
        available, selected = self._available(), cluster.selected()
        before = cluster.status.get("stable")
        writes = cluster.reconcile()
        stable, now = cluster.status.get("stable"), cluster.selected()
        if stable is not None and None not in (selected, now) and now != selected:
            assert available.get(now, 0) > 0, "traffic moves only to what answers"
            self.rollouts += before is not None
        self._only_what_shares_the_traffic_is_selected(selected)
        if stable is not None and now is not None and cluster.status.get("candidate", {}).get("phase") == "Failed":
            assert cluster.status["candidate"]["name"] not in cluster.names("Deployment"), (
                "what failed is not tried again"
            )
        assert len(cluster.names("Deployment")) <= 3
        self._conditions_make_sense()
        return writes

    def _only_what_shares_the_traffic_is_selected(self, before: str | None) -> None:
        """When a split begins, the Deployments of two revisions are there, and no third one."""
        service = self.cluster.store.get(SERVICE, "default", "churn")
        if service is None or before is None or REVISION_LABEL in service["spec"]["selector"]:
            return
        assert len(self.cluster.names("Deployment")) <= 2

    def _candidate(self, count: int | None) -> None:
        candidate = self.cluster.status.get("candidate")
        if candidate is None or candidate["name"] not in self.cluster.names("Deployment"):
            return
        self.cluster.set_ready(candidate["name"], count)
        if count == 0:
            self.cluster.add_pod(candidate["hash"], CRASHED, f"pod-{candidate['hash']}")
        self.reconcile()

    def _available(self) -> dict[Any, int]:
        deployments = [self.cluster.live("Deployment", name) for name in self.cluster.names("Deployment")]
        return {
            raw["metadata"]["labels"][REVISION_LABEL]: raw.get("status", {}).get("availableReplicas", 0)
            for raw in deployments
        }

    def _conditions_make_sense(self) -> None:
        cluster = self.cluster
        assert cluster.truth("Ready") in ("True", "False")
        assert not (cluster.truth("Reconciling") and cluster.truth("Stalled"))
        assert cluster.truth("Ready") == "False" or "stable" in cluster.status
        generations = {item["observedGeneration"] for item in cluster.status["conditions"]}
        assert generations == {cluster.resource["metadata"]["generation"]}
        assert all(item["message"] for item in cluster.status["conditions"])


STEPS: tuple[Callable[[Life, int], None], ...] = (
    *(Life.publish, Life.candidate_becomes_ready) * 3,
    *(Life.edit, Life.candidate_crashes, Life.rest) * 2,
    Life.scale,
    Life.misname_the_runtime,
    Life.lose_the_training_job,
    Life.candidate_half_ready,
    Life.stable_fares,
    Life.pods_recover,
    Life.wait,
    Life.change_the_strategy,
    Life.delete_by_hand,
    Life.empty_the_status_by_hand,
    Life.lose_the_status_write,
)


BACK_TO_STABLE_WHILE_IT_GROWS = [
    (Life.publish, 0),
    (Life.candidate_becomes_ready, 0),
    (Life.scale, 3),
    (Life.publish, 1),
    (Life.candidate_becomes_ready, 0),
    (Life.publish, 0),
]


@example(replicas=(1, 1), strategy="Canary", steps=BACK_TO_STABLE_WHILE_IT_GROWS)
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    replicas=st.sampled_from(REPLICAS),
    strategy=st.sampled_from(STRATEGIES),
    steps=st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 11)), min_size=10, max_size=40),
)
def test_whatever_happens(
    replicas: tuple[int, int], strategy: str, steps: list[tuple[Callable[[Life, int], None], int]]
) -> None:
    life = Life(replicas, strategy)
    life.reconcile()
    for step, number in steps:
        step(life, number)
    life.rest(0)
    event(f"rollouts: {min(life.rollouts, 3)}")
