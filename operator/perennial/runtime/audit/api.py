"""The API server as the audit log uses it, and the objects that it keeps there."""

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from perennial.api.contract.audit import HEAD_CONFIG_MAP
from perennial.core.kinds import Kind, Raw
from perennial.core.labels import AUDIT_LABEL
from perennial.runtime.controller.api import Api

BATCH = f"{AUDIT_LABEL}=batch"
"""Selects the ConfigMaps of the outbox."""
APPEND = f"{AUDIT_LABEL}=append"
"""Selects the Jobs that append, and their pods."""
HEAD = HEAD_CONFIG_MAP
"""ConfigMap with the last position that is known to be written."""
GAP = "perennial-audit-gap"
"""ConfigMap that counts the facts that were dropped because the outbox was full."""


class Items(Protocol):
    """One page of a list."""

    @property
    def items(self) -> Sequence[Raw]:
        """Its objects."""
        ...


class AuditApi(Api, Protocol):
    """Verbs of the audit log; all raise ApiError."""

    def pages(self, kind: Kind, namespace: str | None = None, selector: str = "") -> AsyncIterator[Items]:
        """List the objects of a kind, page by page."""
        ...


async def listed(api: AuditApi, kind: Kind, namespace: str, selector: str) -> list[Raw]:
    """Return all objects with these labels, sorted by name."""
    found = [item async for page in api.pages(kind, namespace, selector) for item in page.items]
    return sorted(found, key=lambda item: str(item["metadata"]["name"]))
