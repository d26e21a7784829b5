"""Raw objects to and from the API server. Every write but the lease's passes one gate: leadership, then the rate."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any
from urllib.parse import quote, urlencode

import aiohttp

from perennial import __version__
from perennial.adapters.connection import Connection
from perennial.adapters.errors import ApiError, from_status
from perennial.adapters.limiter import TokenBucket
from perennial.core.kinds import CHILDREN, EVENT, LEASE, POD, RESOURCES, Kind, Raw

_TIMEOUT = aiohttp.ClientTimeout(total=30, sock_connect=10)
_PAGE = 100
_JSON = "application/json"
_APPLY = "application/apply-patch+yaml"  # JSON is YAML
_MERGE = "application/merge-patch+json"
_HEADERS = {"Accept": _JSON, "User-Agent": f"perennial/{__version__}"}
_KINDS = {(kind.api_version, kind.kind): kind for kind in (*RESOURCES, *CHILDREN, POD, EVENT, LEASE)}
_ERRORS_FROM = 300

WriteListener = Callable[[str, Kind, int, float], None]
"""Called after every write with verb, kind, status (0: no answer) and seconds."""


@dataclass(frozen=True)
class Page:
    """Some of the objects of a kind. All pages of one list show the same moment, that of its version."""

    items: Sequence[Raw]
    resource_version: str


def kind_of(manifest: Raw) -> Kind:
    """Return the kind of a manifest.

    Raises:
        KeyError: the operator does not make such objects.
    """
    return _KINDS[(manifest["apiVersion"], manifest["kind"])]


def path_of(kind: Kind, namespace: str | None, name: str | None = None, subresource: str = "") -> str:
    """Return the path of a collection or an object; names are quoted, so that none can climb out of its place."""
    parts = ["apis", kind.group, kind.version] if kind.group else ["api", kind.version]
    if kind.namespaced and namespace is not None:
        parts += ["namespaces", namespace]
    parts.append(kind.plural)
    parts += [part for part in (name, subresource) if part]
    return "/" + "/".join(quote(part, safe="") for part in parts)


def _allow() -> None:
    """Let every write pass: what a process without leader election does."""


def _ignore(verb: str, kind: Kind, status: int, seconds: float) -> None:
    """Tell nobody."""


class Cluster:
    """The verbs that the operator needs, and no more.

    Every method raises ApiError when the server refuses or cannot be reached. `guard` raises NotLeader when
    this process may not write.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        guard: Callable[[], None] = _allow,
        limiter: TokenBucket | None = None,
        on_write: WriteListener = _ignore,
    ) -> None:
        """Share the connection; nothing is sent yet."""
        self._connection = connection
        self._guard = guard
        self._limiter = limiter or TokenBucket(0, 1)
        self._on_write = on_write

    async def pages(self, kind: Kind, namespace: str | None = None, selector: str = "") -> AsyncIterator[Page]:
        """Yield all objects of a kind, page by page, so that they are never all in memory twice."""
        query = {"limit": str(_PAGE)} | ({"labelSelector": selector} if selector else {})
        path = path_of(kind, namespace)
        while True:
            answer = await self._send("GET", f"{path}?{urlencode(query)}")
            items = answer.get("items") or []
            for item in items:
                # Lists of built-in kinds leave these out of their items.
                item.setdefault("apiVersion", kind.api_version)
                item.setdefault("kind", kind.kind)
            metadata = answer.get("metadata") or {}
            yield Page(items, str(metadata.get("resourceVersion", "")))
            if not metadata.get("continue"):
                return
            query["continue"] = metadata["continue"]

    async def get(self, kind: Kind, namespace: str, name: str) -> Raw | None:
        """Return the object, or None if there is none."""
        try:
            return await self._send("GET", path_of(kind, namespace, name))
        except ApiError as error:
            if error.not_found:
                return None
            raise

    async def create(self, manifest: Raw, manager: str) -> Raw:
        """Make the object; a name that is taken is a conflict."""
        kind, metadata = kind_of(manifest), manifest["metadata"]
        path = f"{path_of(kind, metadata['namespace'])}?fieldManager={quote(manager)}"
        return await self._write("create", kind, "POST", path, manifest)

    async def apply(self, manifest: Raw, manager: str) -> Raw:
        """Server-side apply, taking over the fields given from whoever else set them."""
        kind, metadata = kind_of(manifest), manifest["metadata"]
        path = path_of(kind, metadata["namespace"], metadata["name"])
        query = f"?fieldManager={quote(manager)}&force=true"
        return await self._write("apply", kind, "PATCH", path + query, manifest, content_type=_APPLY)

    async def merge(self, manifest: Raw, manager: str) -> Raw:
        """Merge the fields given into the object; unlike an apply, a list is replaced as a whole."""
        kind, metadata = kind_of(manifest), manifest["metadata"]
        path = path_of(kind, metadata["namespace"], metadata["name"])
        query = f"?fieldManager={quote(manager)}"
        return await self._write("apply", kind, "PATCH", path + query, manifest, content_type=_MERGE)

    async def replace_status(self, kind: Kind, resource: Raw, status: dict[str, Any]) -> Raw:
        """Write the status of exactly the version given; any other version is a conflict."""
        metadata = resource["metadata"]
        names = ("name", "namespace", "uid", "resourceVersion")
        body = {
            "apiVersion": kind.api_version,
            "kind": kind.kind,
            "metadata": {name: metadata[name] for name in names if name in metadata},
            "status": status,
        }
        path = path_of(kind, metadata["namespace"], metadata["name"], "status")
        return await self._write("status", kind, "PUT", path, body)

    async def delete(self, kind: Kind, namespace: str, name: str, uid: str) -> Raw:
        """Delete the object of that uid; what belongs to it goes later, by garbage collection."""
        body = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": "Background",
            "preconditions": {"uid": uid},
        }
        return await self._write("delete", kind, "DELETE", path_of(kind, namespace, name), body)

    async def post_event(self, event: Raw) -> None:
        """Post an Event."""
        await self._write("create", EVENT, "POST", path_of(EVENT, event["metadata"]["namespace"]), event)

    async def get_lease(self, namespace: str, name: str, within: float) -> Raw | None:
        """Return the lease, or None if there is none. `within`: most seconds to wait, here and below."""
        try:
            return await self._send("GET", path_of(LEASE, namespace, name), within=within)
        except ApiError as error:
            if error.not_found:
                return None
            raise

    async def create_lease(self, lease: Raw, within: float) -> Raw:
        """Make the lease, past the gate: it is what opens the gate."""
        path = path_of(LEASE, lease["metadata"]["namespace"])
        return await self._send("POST", path, lease, within=within)

    async def replace_lease(self, lease: Raw, within: float) -> Raw:
        """Write exactly the version of the lease given, past the gate."""
        metadata = lease["metadata"]
        path = path_of(LEASE, metadata["namespace"], metadata["name"])
        return await self._send("PUT", path, lease, within=within)

    async def _write(
        self, verb: str, kind: Kind, method: str, path: str, body: Raw, *, content_type: str = _JSON
    ) -> Raw:
        await self._limiter.acquire()
        self._guard()  # last, so that nothing waits between this and the wire
        started = monotonic()
        status = 0
        try:
            answer = await self._send(method, path, body, content_type=content_type)
            status = 200
            return answer
        except ApiError as error:
            status = error.status
            raise
        finally:
            self._on_write(verb, kind, status, monotonic() - started)

    async def _send(
        self,
        method: str,
        path: str,
        body: Raw | None = None,
        *,
        content_type: str = _JSON,
        within: float | None = None,
    ) -> Raw:
        headers = {**_HEADERS, "Content-Type": content_type}
        token = await self._connection.authorization()
        if token:
            headers["Authorization"] = token
        limit = _TIMEOUT if within is None else aiohttp.ClientTimeout(total=within)
        request = f"{method} {path.partition('?')[0]}"
        try:
            response = await self._connection.http.request(
                method,
                self._connection.server + path,
                headers=headers,
                body=body,
                _request_timeout=limit,
            )
            data = await response.read()
        except (aiohttp.ClientError, TimeoutError, asyncio.IncompleteReadError, OSError) as error:
            text = str(error) or type(error).__name__
            raise ApiError(request, 0, "Unreachable", text) from error
        return _decode(request, response, data)


def _decode(request: str, response: Any, data: bytes) -> Raw:
    """Return the object of an answer, or raise what it says went wrong."""
    try:
        document = json.loads(data)
    except ValueError:
        document = None
    if response.status >= _ERRORS_FROM:
        raise from_status(request, response.status, str(response.reason), document, response.headers)
    if not isinstance(document, dict):
        raise ApiError(request, 0, "BadAnswer", "the API server's answer is not a JSON object")
    return document
