"""Builds entries of the audit log from what controllers decide.

The parts of an entry come from resources that people may have edited. Whatever they hold, a fact is recorded: a part
that an entry cannot hold is left out of it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import ValidationError
from pydantic.alias_generators import to_camel

from perennial.api.common.base import ObjectMeta
from perennial.api.contract.audit import AuditEntry, AuditEvent
from perennial.core.audit import entry_id
from perennial.core.kinds import Kind
from perennial.core.times import canonical_time, format_time

_MOST_FIGURES = 16
_LONGEST_NAME = 63


@dataclass(frozen=True)
class Facts:
    """Makes the entries of one resource."""

    kind: Kind
    meta: ObjectMeta
    now: datetime

    def entry(self, event: AuditEvent, subject: tuple[str | int, ...], time: str | None, **parts: Any) -> AuditEntry:
        """Return the entry of a fact.

        Args:
            event: what happened.
            subject: what tells this fact from others of the same event; the same when a step is repeated after a
                crash, so it holds nothing that comes from the present time.
            time: when it happened; if it is not a time, `now` is recorded.
            parts: further fields of the entry.
        """
        meta = self.meta
        document: dict[str, Any] = {
            "id": entry_id(self.kind.kind, meta.uid, event, *subject),
            "time": (canonical_time(time) if time else None) or format_time(self.now),
            "event": event,
            "kind": self.kind.kind,
            "namespace": meta.namespace,
            "name": meta.name,
            "uid": meta.uid,
            **{name: value for name, value in parts.items() if value is not None},
        }
        try:
            return AuditEntry.model_validate(document)
        except ValidationError as error:
            unfit = {str(fault["loc"][0]) for fault in error.errors(include_url=False, include_input=False)}
            names = {name for name in parts if name in unfit or to_camel(name) in unfit}
            return AuditEntry.model_validate({name: value for name, value in document.items() if name not in names})


def figures(found: Iterable[tuple[str, Any]]) -> dict[str, str]:
    """Return names and values as text, without those that are unset; at most as many as an entry holds."""
    texts = {name[:_LONGEST_NAME]: _text(value) for name, value in found if name and value is not None}
    return dict(list(texts.items())[:_MOST_FIGURES])


def items(found: Mapping[str, Any] | None) -> tuple[tuple[str, Any], ...]:
    """Return the items of a mapping that may be unset."""
    return tuple((found or {}).items())


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
