"""The outbox of the audit log: immutable ConfigMaps, each with the entries of one write.

Facts are put here before the status that makes them true is written, so a crash in between loses none; the repeated
step gives entries of the same identities, which become one line of the log.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import ValidationError

from perennial.adapters.errors import ApiError
from perennial.api.common.base import ObjectMeta
from perennial.api.contract.audit import OUTBOX_SUFFIX, AuditEntry
from perennial.core.audit import encode_outbox
from perennial.core.facts import Facts, figures
from perennial.core.kinds import CONFIG_MAP, Kind, Raw
from perennial.core.labels import AUDIT_LABEL, MANAGED_BY_LABEL
from perennial.core.names import FIELD_MANAGER
from perennial.core.times import format_time
from perennial.runtime.audit.api import BATCH, GAP, AuditApi, listed

_log = logging.getLogger(__name__)

MOST_BATCHES = 1000
MOST_BYTES = 8 * 2**20
"""Limits of the outbox: it lies in etcd, which all of the cluster shares."""
_BATCH_BYTES = 256 * 1024
_NAMES_TRIED = 20
_REMEMBERED = 20_000
_OPERATOR = Kind("", "v1", "Operator", "operators")


@dataclass(frozen=True)
class Batch:
    """One ConfigMap of the outbox."""

    name: str
    uid: str
    entries: tuple[AuditEntry, ...]
    size: int
    """Bytes."""
    since: datetime


class Outbox:
    """Facts that are not known to be in the log yet."""

    def __init__(
        self, api: AuditApi, namespace: str, now: Callable[[], datetime], on_dropped: Callable[[int], None]
    ) -> None:
        """Nothing is read or written yet; `on_dropped` is called with the number of facts that had no room."""
        self._api = api
        self._namespace = namespace
        self._now = now
        self._on_dropped = on_dropped
        self._lock = asyncio.Lock()
        self._waiting: list[AuditEntry] = []
        self._kept: OrderedDict[str, None] = OrderedDict()
        self._batches: dict[str, Batch] = {}
        self._gap: Raw | None = None
        self._named = datetime.min.replace(tzinfo=UTC)
        self.unsure = False
        """Whether the cluster may hold other batches than are known here: `load` finds out."""
        self.filled = asyncio.Event()
        """Set while there is something to hand over."""

    @property
    def pending(self) -> int:
        """Number of entries that wait."""
        return sum(len(batch.entries) for batch in self._batches.values())

    @property
    def oldest_seconds(self) -> float:
        """Seconds that the oldest entry has waited; 0 if there is none."""
        since = min((batch.since for batch in self._batches.values()), default=None)
        return max(0.0, (self._now() - since).total_seconds()) if since is not None else 0.0

    async def load(self) -> None:
        """Read what is in the cluster, such as what an earlier leader has left.

        Raises:
            ApiError: a request failed.
        """
        async with self._lock:
            found = await listed(self._api, CONFIG_MAP, self._namespace, BATCH)
            self._gap = await self._api.get(CONFIG_MAP, self._namespace, GAP)
            self._batches.clear()
            for raw in found:
                self._note(_batch_of(raw))
            self.unsure = False

    def oldest(self, most: int) -> tuple[Batch, ...]:
        """Return the oldest batches."""
        return tuple(self._batches[name] for name in sorted(self._batches)[:most])

    async def record(self, entries: Sequence[AuditEntry]) -> None:
        """Keep facts; return once they are stored. Those of concurrent callers are stored by one write.

        Raises:
            ApiError: they could not be stored, so the status must not be written either.
            NotLeader: this process no longer holds the lease.
        """
        new = [entry for entry in entries if entry.id not in self._kept]
        if not new:
            return
        self._waiting.extend(new)
        async with self._lock:
            if all(entry.id in self._kept for entry in new):
                return  # by the write of another caller
            together = {entry.id: entry for entry in (*self._waiting, *new) if entry.id not in self._kept}
            self._waiting.clear()  # who fails, fails for all of these: each caller tries its own once more
            await self._write(tuple(together.values()))

    async def drop(self, names: Iterable[str]) -> None:
        """Delete batches whose entries are in the log.

        Raises:
            ApiError: a request failed.
        """
        for name in names:
            batch = self._batches.get(name)
            if batch is None:
                continue
            try:
                await self._api.delete(CONFIG_MAP, self._namespace, name, batch.uid)
            except ApiError as error:
                if not error.not_found:
                    raise
            del self._batches[name]
        if not self._batches:
            self.filled.clear()

    async def tell_gap(self) -> None:
        """Record as a fact that facts were dropped, once there is room.

        Raises:
            ApiError: a request failed.
        """
        async with self._lock:
            if self._gap is None or self._is_full():
                return
            await self._create((_gap_entry(self._gap, self._namespace, self._now()),))
            await self._api.delete(CONFIG_MAP, self._namespace, GAP, self._gap["metadata"]["uid"])
            self._gap = None

    async def _write(self, entries: tuple[AuditEntry, ...]) -> None:
        for part in _parts(entries):
            if self._is_full():
                await self._add_to_gap(part)
            else:
                await self._create(part)

    def _is_full(self) -> bool:
        size = sum(batch.size for batch in self._batches.values())
        return len(self._batches) >= MOST_BATCHES or size >= MOST_BYTES

    async def _create(self, entries: tuple[AuditEntry, ...]) -> None:
        text = encode_outbox(entries)
        for _ in range(_NAMES_TRIED):
            name = self._next_name()
            manifest = {
                "apiVersion": CONFIG_MAP.api_version,
                "kind": CONFIG_MAP.kind,
                "metadata": {
                    "name": name,
                    "namespace": self._namespace,
                    "labels": {MANAGED_BY_LABEL: "perennial", AUDIT_LABEL: "batch"},
                },
                "data": {f"{name}{OUTBOX_SUFFIX}": text},
                "immutable": True,
            }
            try:
                created = await self._api.create(manifest, FIELD_MANAGER)
            except ApiError as error:
                if error.conflict:
                    continue  # the clock was set back
                self.unsure = True
                raise
            self._note(Batch(name, created["metadata"]["uid"], entries, len(text.encode()), self._now()))
            return
        raise ApiError("POST configmaps", 0, "NoName", f"{name} and the names before it are taken")

    def _next_name(self) -> str:
        """Return a name in order of time. No name is used twice: what a Job was given is told by names."""
        self._named = max(self._now().astimezone(UTC), self._named + timedelta(microseconds=1))
        return f"perennial-audit-{self._named:%Y%m%d%H%M%S%f}"

    def _note(self, batch: Batch) -> None:
        self._batches[batch.name] = batch
        self._remember(batch.entries)
        self.filled.set()

    def _remember(self, entries: Iterable[AuditEntry]) -> None:
        for entry in entries:
            self._kept[entry.id] = None
        while len(self._kept) > _REMEMBERED:
            self._kept.popitem(last=False)

    async def _add_to_gap(self, entries: tuple[AuditEntry, ...]) -> None:
        """Count facts that have no room, in the cluster: the log itself must tell that they are missing."""
        data = (self._gap or {}).get("data") or {}
        times = sorted(entry.time for entry in entries)
        counted = {
            "dropped": str(_number(data.get("dropped")) + len(entries)),
            "since": data.get("since") or times[0],
            "until": times[-1],
        }
        manifest = {
            "apiVersion": CONFIG_MAP.api_version,
            "kind": CONFIG_MAP.kind,
            "metadata": {
                "name": GAP,
                "namespace": self._namespace,
                "labels": {MANAGED_BY_LABEL: "perennial", AUDIT_LABEL: "gap"},
            },
            "data": counted,
        }
        write = self._api.create if self._gap is None else self._api.merge
        self._gap = await write(manifest, FIELD_MANAGER)
        self._remember(entries)
        self._on_dropped(len(entries))
        _log.error("the outbox of the audit log is full: %d facts were not recorded", len(entries))


def _parts(entries: tuple[AuditEntry, ...]) -> list[tuple[AuditEntry, ...]]:
    """Split entries so that each part fits into a ConfigMap."""
    parts: list[tuple[AuditEntry, ...]] = []
    part: list[AuditEntry] = []
    size = 0
    for entry in entries:
        length = len(encode_outbox((entry,)).encode())
        if part and size + length > _BATCH_BYTES:
            parts.append(tuple(part))
            part, size = [], 0
        part.append(entry)
        size += length
    return [*parts, tuple(part)]


def _batch_of(raw: Raw) -> Batch:
    """Read a batch; lines that are no entries are left to the agent, which refuses them by name."""
    metadata: dict[str, Any] = raw["metadata"]
    texts = [text for text in (raw.get("data") or {}).values() if isinstance(text, str)]
    entries = [entry for text in texts for line in text.splitlines() if (entry := _entry(line)) is not None]
    since = _time(metadata.get("creationTimestamp"))
    return Batch(metadata["name"], metadata["uid"], tuple(entries), sum(map(len, texts)), since)


def _entry(line: str) -> AuditEntry | None:
    try:
        return AuditEntry.model_validate_json(line)
    except ValidationError:
        return None


def _time(text: Any) -> datetime:
    return datetime.fromisoformat(text) if isinstance(text, str) else datetime.now(UTC)


def _gap_entry(gap: Raw, namespace: str, now: datetime) -> AuditEntry:
    data, metadata = gap.get("data") or {}, gap["metadata"]
    meta = ObjectMeta(name="perennial", namespace=namespace, uid=metadata["uid"])
    until = str(data.get("until") or format_time(now))
    return Facts(_OPERATOR, meta, now).entry(
        "EntriesDropped",
        (),
        until,
        figures=figures((name, data.get(name)) for name in ("dropped", "since", "until")),
        message="the outbox was full; the facts of this time are not in the log",
    )


def _number(text: Any) -> int:
    return int(text) if isinstance(text, str) and text.isdecimal() else 0
