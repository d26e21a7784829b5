"""Whatever is edited, and in whatever order, what stands in the end is what a fresh create of the same spec gives.

Every field of a ModelDeployment is set, changed and taken out at least once; `data/` holds the specs.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from perennial.api.contract.messages import Asked, Evaluated, Interval, Measured, Replayed
from perennial.api.contract.settings import PodRules, Prometheus
from perennial.api.modeldeployment.gates import Gate
from perennial.api.modeldeployment.resource import ModelDeployment
from perennial.core.kinds import Raw
from perennial.core.labels import (
    APPROVAL_PREFIX,
    APPROVE_ANNOTATION,
    APPROVED_BY_ANNOTATION,
    PROMOTE_ANNOTATION,
    ROLLOUT_ANNOTATION,
)
from perennial.core.reads import GatewayFeatures, GatewayRead, Measurement
from perennial.core.times import format_time
from perennial.generate.structural import Schema, structural
from perennial.serving.rollout.mirror import MIRROR, PERCENTAGE
from tests.support.builders import drift_monitor, model_deployment
from tests.unit.serving.cluster import CONFIG, Cluster
from tests.unit.serving.rollout.test_gateway import answer
from tests.unit.serving.rollout.test_job_gates import end

FILE = Path(__file__).parent / "data" / "modeldeployment-edits.yaml"
SPECS: list[dict[str, Any]] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
ALLOWING = CONFIG.model_copy(
    update={
        "allowed_annotations": ("team",),
        "pods": PodRules(service_accounts=("server",)),
        "prometheus": Prometheus(url="http://prometheus:9090"),
    }
)
ROUNDS = 12
"""More than any rollout of these specs has steps."""

SERVERS = {"uid", "generation", "resourceVersion", "creationTimestamp"}
"""Metadata that the API server sets."""

TIME = "2026-01-31T12:00:00Z"
GATES = frozenset(Gate.model_json_schema()["properties"]) - {"name", "initialDelay"}

Place = tuple[str | int, ...]


class Server(Cluster):
    """A ModelDeployment whose whole spec is replaced, and whose candidates are approved."""

    def __init__(self, spec: dict[str, Any]) -> None:
        super().__init__({**model_deployment(), "spec": spec}, config=ALLOWING)
        self.publish("a")

    def become(self, spec: dict[str, Any]) -> None:
        """Replace the whole spec, as `kubectl replace` does."""
        self.store.update({**self.resource, "spec": spec})

    def approve(self) -> None:
        """Let two people approve what waits for that."""
        candidate = self.status.get("candidate")
        if candidate is not None:
            said = {APPROVE_ANNOTATION: candidate["name"], APPROVED_BY_ANNOTATION: "ana"}
            said |= {f"{APPROVAL_PREFIX}bo": f"{candidate['name']} bo"}
            if candidate.get("reason") in {"WaitingForGates", "GateInconclusive"}:
                # No requests come here that a gate of live traffic could judge.
                said |= {PROMOTE_ANNOTATION: candidate["name"]}
            self.resource = {**self.resource, "metadata": {**self.resource["metadata"], "annotations": said}}

    def answer(self) -> None:
        """Let the Prometheus server give all queries a number that passes, and every gateway copy requests.

        What nobody asks any more is forgotten.
        """
        reads = self.last.reads if self.last is not None else ()
        passing = Measurement(self.now, 0.5, known=self.now, began=self.now)
        able = GatewayFeatures(frozenset((MIRROR, PERCENTAGE)))
        self.store.answers = {read.address: able if isinstance(read, GatewayRead) else passing for read in reads}

    def accept(self) -> None:
        """Let the gateway take up the route."""
        if self.names("HTTPRoute"):
            asked = self.resource["spec"].get("route", {}).get("gateway", {})
            answer(self, **{key: asked[key] for key in ("namespace", "sectionName") if key in asked})

    def judge(self) -> None:
        """Let the Jobs of all gates find that the candidate is as good as the stable revision."""
        for name in self.names("Job"):
            config = json.loads(self.live("Job", name)["spec"]["template"]["spec"]["containers"][0]["env"][0]["value"])
            end(self, name, _good(config))

    def watch(self) -> None:
        """Let the DriftMonitor that the gates name find nothing about the candidate."""
        candidate = self.status.get("candidate")
        if candidate:
            counts = {"driftedFeatures": 0, "comparedFeatures": 9, "referenceRows": 500, "currentRows": 500}
            told = {"id": "churn-1", "time": format_time(self.now), "digest": candidate["digest"]}
            verdict = {**told, **counts, "drifted": False, "unfair": False}
            target = {"modelDeployment": "churn", "revision": "Candidate"}
            self.store.put(drift_monitor({"lastVerdict": verdict}, target=target))

    def rest(self) -> None:
        """Let pods become ready and time pass until nothing is under way any more."""
        for _ in range(ROUNDS):
            self.settle()
            for name in self.names("Deployment"):
                self.set_ready(name)
            self.answer()
            self.accept()
            self.judge()
            self.watch()
            self.approve()
            self.settle()
            if not (self.status.get("candidate") or self.status.get("previous")):
                return
            self.wait(300)

    def made(self) -> dict[tuple[str, str], Raw]:
        """Return what was made, without what each life writes in its own way."""
        # The garbage collector removes the pods of a Job with it.
        found = {key: _timeless(raw) for key, raw in self.children().items() if key[0] not in {"Pod", "DriftMonitor"}}
        for kind, name in found:
            if kind == "HorizontalPodAutoscaler":
                # The number of pods is the autoscaler's from the first step on, and comes from the load.
                del found["Deployment", name]["spec"]["replicas"]
        return found


def _good(config: dict[str, Any]) -> Evaluated | Replayed:
    """Return what the agent would report of a candidate that answers as the stable revision does."""
    if config["kind"] == "Replay":
        same, none = Interval(value="1", low="1", high="1"), Interval(value="0", low="0", high="0")
        return Replayed(time=TIME, requests=500, agreement=same, distance=none, errors=none, latency=same)
    asked = Asked(rows=1000)
    wanted = [*config["performance"], *config["fairness"]]
    even = {"value": "1", "low": "1", "high": "1", "stable": "1", "gain": "0", "gain_low": "0", "gain_high": "0"}
    results = tuple(Measured(metric=item["metric"], rows=1000, **even) for item in wanted)
    return Evaluated(time=TIME, rows=1000, candidate=asked, stable=asked, results=results)


def _timeless(raw: Raw) -> Raw:
    metadata = {key: value for key, value in raw["metadata"].items() if key not in SERVERS}
    annotations = {key: value for key, value in metadata.pop("annotations", {}).items() if key != ROLLOUT_ANNOTATION}
    metadata |= {"annotations": annotations} if annotations else {}
    return copy.deepcopy({key: value for key, value in {**raw, "metadata": metadata}.items() if key != "status"})


@cache
def _settled(text: str) -> Server:
    server = Server(json.loads(text))
    server.rest()
    return server


def settled(spec: dict[str, Any]) -> Server:
    """Return a life of its own that has come to rest with a spec."""
    return copy.deepcopy(_settled(json.dumps(spec)))


def fresh(spec: dict[str, Any]) -> dict[tuple[str, str], Raw]:
    return _settled(json.dumps(spec)).made()


def places(value: Any, place: Place = ()) -> Iterator[Place]:
    """Yield where each field of a spec is, outer ones first."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (*place, key)
        yield from places(item, (*place, key))


def without(spec: dict[str, Any], place: Place) -> dict[str, Any]:
    changed = copy.deepcopy(spec)
    inner: Any = changed
    for key in place[:-1]:
        inner = inner[key]
    del inner[place[-1]]
    return changed


def is_valid(spec: dict[str, Any]) -> bool:
    """Tell whether the operator can read it; rules across fields are the API server's, and tested there."""
    model = {**model_deployment(), "spec": spec}
    source = spec.get("model", {})
    chosen = len({"trainingJob", "uri", "image"} & source.keys()) == 1 and ("uri" in source) == ("digest" in source)
    runtime = ("name" in spec.get("runtime", {})) != ("container" in spec.get("runtime", {}))
    try:
        ModelDeployment.model_validate(model)
    except ValueError:
        return False
    asked = spec.get("rollout", {}).get("gates", ())
    gates = all(len(gate.keys() & GATES) == 1 for gate in asked)
    replayed = "capture" in spec or not any("replay" in gate for gate in asked)
    return chosen and runtime and gates and replayed and all(len(metric) == 1 for metric in spec.get("autoscaling", ()))


def fields_of(schema: Schema, place: str = "") -> Iterator[str]:
    """Yield every field of a schema that holds a value itself."""
    if "properties" in schema:
        for name, item in schema["properties"].items():
            yield from fields_of(item, f"{place}.{name}" if place else name)
    elif "items" in schema:
        yield from fields_of(schema["items"], f"{place}[]")
    else:
        yield place


def named(place: Place) -> str:
    return "".join("[]" if isinstance(key, int) else f".{key}" for key in place).lstrip(".")


REMOVALS = [
    pytest.param(spec, place, id=f"{number}-{'.'.join(map(str, place))}")
    for number, spec in enumerate(SPECS)
    for place in places(spec)
    if is_valid(without(spec, place))
]


def test_every_field_is_edited() -> None:
    edited = {named(place) for spec in SPECS for place in places(spec)}
    missing = {
        field
        for field in fields_of(structural(ModelDeployment)["properties"]["spec"])
        if field not in edited and field.removesuffix("[]") not in edited
    }
    assert not missing, f"put these fields into {FILE.name}, in a spec where they change a child: {sorted(missing)}"


@pytest.mark.parametrize("number", range(len(SPECS)))
def test_a_spec_edited_into_the_next_gives_what_a_fresh_one_gives(number: int) -> None:
    target = SPECS[(number + 1) % len(SPECS)]
    server = settled(SPECS[number])
    server.become(target)
    server.rest()
    assert server.made() == fresh(target)


@pytest.mark.parametrize(("spec", "place"), REMOVALS)
def test_a_field_taken_out_and_put_back(spec: dict[str, Any], place: Place) -> None:
    less = without(spec, place)
    server = settled(spec)
    server.become(less)
    server.rest()
    if server.truth("Stalled") is None:  # else nothing new is made, and what serves goes on
        assert server.made() == fresh(less)
    server.become(spec)
    server.rest()
    assert server.made() == fresh(spec)
