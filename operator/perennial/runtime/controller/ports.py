"""What the runtime needs from the API server, so that tests can put a cluster in memory in its place."""

from typing import Any, Protocol

from perennial.core.kinds import Kind, Raw


class Api(Protocol):
    """The verbs of reconciling. `adapters.cluster.Cluster` is the real one; all raise its ApiError."""

    async def get(self, kind: Kind, namespace: str, name: str) -> Raw | None:
        """Return the object, or None if there is none."""
        ...

    async def create(self, manifest: Raw, manager: str) -> Raw:
        """Make the object; a name that is taken is a conflict."""
        ...

    async def apply(self, manifest: Raw, manager: str) -> Raw:
        """Server-side apply, taking over the fields given."""
        ...

    async def merge(self, manifest: Raw, manager: str) -> Raw:
        """Merge the fields given into the object; a list is replaced as a whole."""
        ...

    async def replace_status(self, kind: Kind, resource: Raw, status: dict[str, Any]) -> Raw:
        """Write the status of exactly the version given; any other version is a conflict."""
        ...

    async def delete(self, kind: Kind, namespace: str, name: str, uid: str) -> Raw:
        """Delete the object of that uid."""
        ...

    async def post_event(self, event: Raw) -> None:
        """Post an Event."""
        ...
