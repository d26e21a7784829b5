"""The end state of a namespace in a form that two runs share: no uids, versions, times, or names of the namespace."""

import json
import re
from typing import Any

from perennial.core.kinds import CHILDREN, JOB, OPTIONAL, RESOURCES, Kind
from perennial.core.labels import APPLIED_ANNOTATION
from tests.support.harness import Harness

_TIME = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d+)?Z")
_UID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_ADDRESS = re.compile(r"\b10\.\d+\.\d+\.\d+\b|\b198\.1[89]\.\d+\.\d+\b")

State = dict[str, Any]


async def state_of(harness: Harness) -> State:
    """Return all resources and children of the stage, by kind and name. Pods are their controllers' business."""
    found: State = {}
    for kind in (item for item in (*RESOURCES, *CHILDREN) if item not in OPTIONAL):
        for raw in await harness.all(kind):
            found[f"{kind.kind}/{raw['metadata']['name']}"] = _plain(kind, raw, harness.namespace)
    return found


def differences(expected: Any, actual: Any, path: str = "") -> list[str]:
    """Return one line for each place where two states differ."""
    if isinstance(expected, dict) and isinstance(actual, dict):
        return [
            line
            for key in sorted({*expected, *actual})
            for line in differences(expected.get(key, "(nothing)"), actual.get(key, "(nothing)"), f"{path}.{key}")
        ]
    if isinstance(expected, list) and isinstance(actual, list) and len(expected) == len(actual):
        pairs = enumerate(zip(expected, actual, strict=True))
        return [line for i, (left, right) in pairs for line in differences(left, right, f"{path}[{i}]")]
    return [] if expected == actual else [f"{path.lstrip('.')}: {expected!r} without faults, {actual!r} here"]


def _plain(kind: Kind, raw: dict[str, Any], namespace: str) -> Any:
    metadata = dict(raw["metadata"])
    for name in ("uid", "resourceVersion", "managedFields", "creationTimestamp", "generation"):
        metadata.pop(name, None)
    annotations = dict(metadata.get("annotations") or {})
    annotations.pop(APPLIED_ANNOTATION, None)  # a hash over the owner's uid too
    status = _status(kind, raw.get("status") or {})
    text = json.dumps({"metadata": {**metadata, "annotations": annotations}, "spec": raw["spec"], "status": status})
    text = _ADDRESS.sub("<address>", _UID.sub("<uid>", _TIME.sub("<time>", text)))
    return json.loads(re.sub(rf"\b{namespace}\b", "<namespace>", text))


def _status(kind: Kind, status: dict[str, Any]) -> Any:
    if kind in RESOURCES:
        return status
    # What built-in controllers write depends on how often they looked.
    return {name: status.get(name) for name in ("succeeded", "failed")} if kind == JOB else {}
