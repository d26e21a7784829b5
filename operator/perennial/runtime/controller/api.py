"""The API server as the runtime uses it: a protocol, so that tests can use a cluster in memory."""

from typing import Any, Protocol

from perennial.core.kinds import Kind, Raw


class Api(Protocol):
    """Verbs of a reconcile. `adapters.cluster.Cluster` implements them; all raise ApiError."""

    async def get(self, kind: Kind, namespace: str, name: str) -> Raw | None:
        """Read the object; None if it does not exist."""
        ...

    async def create(self, manifest: Raw, manager: str) -> Raw:
        """Create the object; a conflict if the name is taken."""
        ...

    async def apply(self, manifest: Raw, manager: str) -> Raw:
        """Server-side apply, taking ownership of the given fields."""
        ...

    async def merge(self, manifest: Raw, manager: str) -> Raw:
        """JSON merge patch; lists are replaced as a whole."""
        ...

    async def replace_status(self, kind: Kind, resource: Raw, status: dict[str, Any]) -> Raw:
        """Write the status of this version of the resource; a conflict if there is a newer one."""
        ...

    async def delete(self, kind: Kind, namespace: str, name: str, uid: str) -> Raw:
        """Delete the object with this uid."""
        ...

    async def post_event(self, event: Raw) -> None:
        """Post an Event."""
        ...
