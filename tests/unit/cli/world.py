"""A cluster in memory with the requests that the plugin makes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from perennial.cli.cluster import Cluster
from perennial.cli.errors import CliError
from perennial.core.kinds import Kind, Raw
from tests.support.builders import EARLIER, NOW, condition


class FakeCluster(Cluster):
    """Holds raw objects and logs; records annotations, creations and deletions."""

    def __init__(self, *objects: Raw, logs: Mapping[tuple[str, str], str] | None = None) -> None:
        super().__init__(None, "default")
        self.objects = list(objects)
        self.texts = dict(logs or {})
        self.annotated: list[tuple[str, str, dict[str, str | None]]] = []
        self.deleted: list[tuple[str, str]] = []

    def list(self, kind: Kind, namespace: str | None = None, selector: str = "") -> tuple[Raw, ...]:
        found = (item for item in self.objects if item["kind"] == kind.kind)
        return tuple(item for item in found if not selector or selector in item["metadata"].get("labels", {}))

    def get(self, kind: Kind, name: str, namespace: str | None = None) -> Raw:
        found = (item for item in self.objects if (item["kind"], item["metadata"]["name"]) == (kind.kind, name))
        item = next(found, None)
        if item is None:
            raise CliError(f'{kind.plural} "{name}" not found')
        return item

    def annotate(self, kind: Kind, name: str, annotations: Mapping[str, str | None]) -> Raw:
        self.annotated.append((kind.kind, name, dict(annotations)))
        return self.get(kind, name)

    def create(self, kind: Kind, body: Raw, namespace: str | None = None) -> Raw:
        made: Raw = {**json.loads(json.dumps(body)), "kind": kind.kind}
        made["metadata"].setdefault("name", f"{made['metadata'].get('generateName', '')}1")
        self.objects.append(made)
        return made

    def delete(self, kind: Kind, name: str) -> None:
        self.deleted.append((kind.kind, name))

    def user(self) -> str:
        return "ada@example.com"

    def version(self) -> str:
        return "v1.37.2"

    def logs(self, pod: str, container: str, *, follow: bool = False, tail: int | None = None) -> Iterator[str]:
        lines = self.texts.get((pod, container), "").splitlines()
        return iter(lines if tail is None else lines[-tail:])


def status(*conditions: Mapping[str, Any], **fields: Any) -> dict[str, Any]:
    return {"observedGeneration": 1, "conditions": list(conditions), **fields}


def stalled(reason: str, message: str) -> Iterable[dict[str, str]]:
    return (
        condition("Ready", "False", reason=reason, message=message),
        condition("Stalled", reason=reason, message=message),
    )


def reconciling(reason: str, message: str) -> Iterable[dict[str, str]]:
    return (
        condition("Ready", "False", reason=reason, message=message),
        condition("Reconciling", reason=reason, message=message),
    )


def ready(reason: str, message: str = "") -> Iterable[dict[str, str]]:
    return (condition("Ready", reason=reason, message=message),)


def run_record(number: int, **fields: Any) -> dict[str, Any]:
    return {
        "name": f"churn-{number}",
        "number": number,
        "result": "Succeeded",
        "reason": "Succeeded",
        "trigger": {"kind": "Created"},
        "attempts": 1,
        "startTime": EARLIER,
        "completionTime": NOW,
        "specHash": "abc",
        "generation": 1,
        **fields,
    }


def revision(name: str, letter: str, **fields: Any) -> dict[str, Any]:
    return {
        "name": f"churn-{name}",
        "hash": name,
        "uri": "s3://models/churn/",
        "digest": f"sha256:{letter * 64}",
        "since": EARLIER,
        **fields,
    }
