"""Entries, outboxes and a store in memory for the audit log."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from perennial.agent.audit.append import append
from perennial.agent.storage.client import ObjectInfo, Version
from perennial.agent.storage.conditional import Retention
from perennial.agent.storage.versions import KeptVersion
from perennial.api.contract.audit import AuditAppend, AuditEntry
from perennial.api.contract.messages import AuditAppended
from perennial.core.audit import encode_outbox, entry_id

URI = "s3://bucket/audit/"
MODEL = f"sha256:{'a' * 64}"


def entry(number: int, **given: Any) -> AuditEntry:
    document = {
        "id": entry_id("ModelDeployment", "u-1", "GateDecided", number),
        "time": f"2026-01-{1 + number % 28:02}T12:00:00Z",
        "event": "GateDecided",
        "kind": "ModelDeployment",
        "namespace": "team-a",
        "name": "churn",
        "uid": "u-1",
        "generation": number,
        "model_digest": MODEL,
        "figures": {"auc": "0.91"},
        "thresholds": {"auc": "0.9"},
        "message": "the gate passed: 0.91 ≥ 0.9",
    }
    return AuditEntry.model_validate(document | given)


def outbox(folder: Path, *numbers: int) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "entries.jsonl").write_text(encode_outbox(entry(number) for number in numbers))
    return folder


def at(day: int, hour: int = 12) -> datetime:
    return datetime(2026, 1, day, hour, tzinfo=UTC)


@dataclass
class MemoryLog:
    """A store in memory that obeys conditions, unless it is told not to."""

    objects: dict[str, bytes] = field(default_factory=dict)
    obeys: bool = True
    kept: dict[str, Retention | None] = field(default_factory=dict)

    def list(self, uri: str) -> Iterator[ObjectInfo]:
        for key in sorted(self.objects):
            if key.startswith(uri):
                yield ObjectInfo(key, len(self.objects[key]), _etag(self.objects[key]), at(1), key.removeprefix(uri))

    def get_version(self, uri: str, limit: int) -> Version | None:
        data = self.objects.get(uri)
        return None if data is None else Version(data, _etag(data))

    def append_version(
        self, uri: str, data: bytes, content_type: str, etag: str | None, retention: Retention | None = None
    ) -> bool:
        there = self.objects.get(uri)
        if self.obeys and (None if there is None else _etag(there)) != etag:
            return False
        self.objects[uri] = data
        self.kept[uri] = retention
        return True

    def versions(self, uri: str) -> Iterator[KeptVersion]:
        yield from ()

    def version_end(self, uri: str, kept: KeptVersion, length: int) -> bytes:
        raise AssertionError("there are no versions")

    @property
    def segments(self) -> tuple[str, ...]:
        return tuple(sorted(key for key in self.objects if key.endswith(".jsonl")))


def _etag(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def write(store: Any, folder: Path, day: int, *numbers: int, **given: Any) -> AuditAppended:
    config = AuditAppend(**{"uri": URI, "outbox": str(outbox(folder, *numbers)), **given})
    return append(config, store, lambda: at(day), lambda _: None)
