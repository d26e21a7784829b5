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

from perennial.api.contract.settings import PodRules
from perennial.api.modeldeployment.resource import ModelDeployment
from perennial.core.decision import Apply, Delete
from perennial.core.kinds import Raw
from perennial.core.labels import APPROVE_ANNOTATION, APPROVED_BY_ANNOTATION, ROLLOUT_ANNOTATION
from perennial.core.names import digest_of
from perennial.generate.structural import Schema, structural
from perennial.runtime.controller.diff import covers
from tests.unit.serving.cluster import CONFIG, Cluster, model_deployment

FILE = Path(__file__).parent / "data" / "modeldeployment-edits.yaml"
SPECS: list[dict[str, Any]] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
ALLOWING = CONFIG.model_copy(update={"allowed_annotations": ("team",), "pods": PodRules(service_accounts=("server",))})
ROUNDS = 8
"""More than any rollout of these specs has steps."""

Place = tuple[str | int, ...]


class Server(Cluster):
    """Applies as an API server does: a field that a manager leaves out goes, if nobody else holds it."""

    def __init__(self, spec: dict[str, Any]) -> None:
        resource = model_deployment()
        resource["spec"] = copy.deepcopy(spec)
        super().__init__(resource, config=ALLOWING)
        self.applied: dict[tuple[str, str], dict[str, Raw]] = {}
        self.digests: dict[tuple[str, str, str], str] = {}
        self.publish("a")

    def become(self, spec: dict[str, Any]) -> None:
        """Replace the whole spec, as `kubectl replace` does."""
        self.resource = {**self.resource, "spec": copy.deepcopy(spec)}
        self.edit()

    def approve(self) -> None:
        """Let a person approve what waits for that."""
        candidate = self.status.get("candidate")
        if candidate is not None:
            said = {APPROVE_ANNOTATION: candidate["name"], APPROVED_BY_ANNOTATION: "ana"}
            self.resource = {**self.resource, "metadata": {**self.resource["metadata"], "annotations": said}}

    def live(self) -> None:
        """Let pods become ready and time pass until nothing is under way any more."""
        for _ in range(ROUNDS):
            self.settle()
            for name in self.names("Deployment"):
                self.set_ready(name)
            self.approve()
            self.settle()
            if not (self.status.get("candidate") or self.status.get("previous")):
                return
            self.wait(30)

    def children(self) -> dict[tuple[str, str], Raw]:
        """Return what was made, without what each life writes in its own way."""
        found = {key: _timeless(raw) for key, raw in self.objects.items() if key[0] != "TrainingJob"}
        for kind, name in found:
            if kind == "HorizontalPodAutoscaler":
                # The number of pods is the autoscaler's from the first step on, and comes from the load.
                del found["Deployment", name]["spec"]["replicas"]
        return found

    def _carry_out(self, action: Any) -> bool:
        if isinstance(action, Delete):
            self.applied.pop((action.kind.kind, action.name), None)
            return super()._carry_out(action)
        assert isinstance(action, Apply)
        manifest, manager = action.manifest, action.manager
        key = (manifest["kind"], manifest["metadata"]["name"])
        # The shell leaves a digest on what it applies, and so sees that something was taken out.
        digest, live = digest_of(manifest), self.objects.get(key)
        if live is not None and covers(live, manifest) and self.digests.get((*key, manager)) == digest:
            return False
        self.digests[*key, manager] = digest
        self.applied.setdefault(key, {})[manager] = manifest
        kept = {"metadata": {name: live["metadata"][name] for name in ("uid", "generation")}} if live else {}
        status = {"status": live["status"]} if live and "status" in live else {}
        self.objects[key] = {**_new(self), **kept, **status}
        for part in self.applied[key].values():
            self.objects[key] = _laid_over(self.objects[key], part)
        if live is not None and live["spec"] != self.objects[key]["spec"]:
            self.objects[key]["metadata"]["generation"] += 1
        return True


def _new(server: Server) -> Raw:
    server._uids += 1
    return {"metadata": {"uid": f"uid-{server._uids}", "generation": 1}, "spec": {}}


def _laid_over(below: Any, above: Any) -> Any:
    if isinstance(below, dict) and isinstance(above, dict):
        return {**below, **{key: _laid_over(below.get(key), value) for key, value in above.items()}}
    return copy.deepcopy(above)


def _timeless(raw: Raw) -> Raw:
    metadata = {key: value for key, value in raw["metadata"].items() if key not in {"uid", "generation"}}
    annotations = {key: value for key, value in metadata.pop("annotations", {}).items() if key != ROLLOUT_ANNOTATION}
    metadata |= {"annotations": annotations} if annotations else {}
    return copy.deepcopy({key: value for key, value in {**raw, "metadata": metadata}.items() if key != "status"})


@cache
def _settled(text: str) -> Server:
    server = Server(json.loads(text))
    server.live()
    return server


def settled(spec: dict[str, Any]) -> Server:
    """Return a life of its own that has come to rest with a spec."""
    return copy.deepcopy(_settled(json.dumps(spec)))


def fresh(spec: dict[str, Any]) -> dict[tuple[str, str], Raw]:
    return _settled(json.dumps(spec)).children()


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
    return chosen and runtime and all(len(metric) == 1 for metric in spec.get("autoscaling", ()))


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
    server.live()
    assert server.children() == fresh(target)


@pytest.mark.parametrize(("spec", "place"), REMOVALS)
def test_a_field_taken_out_and_put_back(spec: dict[str, Any], place: Place) -> None:
    less = without(spec, place)
    server = settled(spec)
    server.become(less)
    server.live()
    if server.truth("Stalled") is None:  # else nothing new is made, and what serves goes on
        assert server.children() == fresh(less)
    server.become(spec)
    server.live()
    assert server.children() == fresh(spec)
