"""Client of the API server for raw objects. Every write except the lease's checks the rate limit and leadership."""

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
from perennial.core.kinds import CHILDREN, CONFIG_MAP, EVENT, LEASE, POD, RESOURCES, Kind, Raw

_TIMEOUT = aiohttp.ClientTimeout(total=30, sock_connect=10)
_PAGE = 100
_JSON = "application/json"
_APPLY = "application/apply-patch+yaml"  # JSON is YAML
_MERGE = "application/merge-patch+json"
_HEADERS = {"Accept": _JSON, "User-Agent": f"perennial/{__version__}"}
_KINDS = {(kind.api_version, kind.kind): kind for kind in (*RESOURCES, *CHILDREN, POD, EVENT, LEASE, CONFIG_MAP)}
_ERRORS_FROM = 300

WriteListener = Callable[[str, Kind, int, float], None]
"""Called after every write with verb, kind, HTTP status (0: no response) and seconds."""


@dataclass(frozen=True)
class Page:
    """One page of a list. All pages of a list have the same resourceVersion."""

    items: Sequence[Raw]
    resource_version: str


def kind_of(manifest: Raw) -> Kind:
    """Look up the kind of a manifest.

    Raises:
        KeyError: the operator does not handle this kind.
    """
    return _KINDS[(manifest["apiVersion"], manifest["kind"])]


def path_of(kind: Kind, namespace: str | None, name: str | None = None, subresource: str = "") -> str:
    """Build the path of a collection or an object; names are quoted, to prevent path traversal."""
    parts = ["apis", kind.group, kind.version] if kind.group else ["api", kind.version]
    if kind.namespaced and namespace is not None:
        parts += ["namespaces", namespace]
    parts.append(kind.plural)
    parts += [part for part in (name, subresource) if part]
    return "/" + "/".join(quote(part, safe="") for part in parts)


def _allow() -> None:
    """Allow every write, without leader election."""


def _ignore(verb: str, kind: Kind, status: int, seconds: float) -> None:
    """Ignore writes."""


class Cluster:
    """The verbs that the operator needs.

    Every method raises ApiError if the request fails. `guard` raises NotLeader if this process may not write.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        guard: Callable[[], None] = _allow,
        limiter: TokenBucket | None = None,
        on_write: WriteListener = _ignore,
    ) -> None:
        """Nothing is sent yet."""
        self._connection = connection
        self._guard = guard
        self._limiter = limiter or TokenBucket(0, 1)
        self._on_write = on_write

    async def pages(self, kind: Kind, namespace: str | None = None, selector: str = "") -> AsyncIterator[Page]:
        """List the objects of a kind page by page, to limit memory."""
        query = {"limit": str(_PAGE)} | ({"labelSelector": selector} if selector else {})
        path = path_of(kind, namespace)
        while True:
            answer = await self._send("GET", f"{path}?{urlencode(query)}")
            items = answer.get("items") or []
            for item in items:
                # Lists of built-in kinds omit these in their items.
                item.setdefault("apiVersion", kind.api_version)
                item.setdefault("kind", kind.kind)
            metadata = answer.get("metadata") or {}
            yield Page(items, str(metadata.get("resourceVersion", "")))
            if not metadata.get("continue"):
                return
            query["continue"] = metadata["continue"]

    async def get(self, kind: Kind, namespace: str, name: str) -> Raw | None:
        """Read the object; None if it does not exist."""
        try:
            return await self._send("GET", path_of(kind, namespace, name))
        except ApiError as error:
            if error.not_found:
                return None
            raise

    async def create(self, manifest: Raw, manager: str) -> Raw:
        """Create the object; a conflict if the name is taken."""
        kind, metadata = kind_of(manifest), manifest["metadata"]
        path = f"{path_of(kind, metadata['namespace'])}?fieldManager={quote(manager)}"
        return await self._write("create", kind, "POST", path, manifest)

    async def apply(self, manifest: Raw, manager: str) -> Raw:
        """Server-side apply, taking ownership of the given fields from other managers."""
        kind, metadata = kind_of(manifest), manifest["metadata"]
        path = path_of(kind, metadata["namespace"], metadata["name"])
        query = f"?fieldManager={quote(manager)}&force=true"
        return await self._write("apply", kind, "PATCH", path + query, manifest, content_type=_APPLY)

    async def merge(self, manifest: Raw, manager: str) -> Raw:
        """JSON merge patch: unlike an apply, lists are replaced as a whole."""
        kind, metadata = kind_of(manifest), manifest["metadata"]
        path = path_of(kind, metadata["namespace"], metadata["name"])
        query = f"?fieldManager={quote(manager)}"
        return await self._write("apply", kind, "PATCH", path + query, manifest, content_type=_MERGE)

    async def replace_status(self, kind: Kind, resource: Raw, status: dict[str, Any]) -> Raw:
        """Write the status of this version of the resource; a conflict if there is a newer one."""
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
        """Delete the object with this uid; its dependents are garbage-collected in the background."""
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
        """Read the lease; None if it does not exist. `within` is the timeout in seconds, here and below."""
        try:
            return await self._send("GET", path_of(LEASE, namespace, name), within=within)
        except ApiError as error:
            if error.not_found:
                return None
            raise

    async def create_lease(self, lease: Raw, within: float) -> Raw:
        """Create the lease, without the leadership check."""
        path = path_of(LEASE, lease["metadata"]["namespace"])
        return await self._send("POST", path, lease, within=within)

    async def replace_lease(self, lease: Raw, within: float) -> Raw:
        """Write this version of the lease, without the leadership check."""
        metadata = lease["metadata"]
        path = path_of(LEASE, metadata["namespace"], metadata["name"])
        return await self._send("PUT", path, lease, within=within)

    async def _write(
        self, verb: str, kind: Kind, method: str, path: str, body: Raw, *, content_type: str = _JSON
    ) -> Raw:
        await self._limiter.acquire()
        self._guard()  # last, so that nothing waits between the check and the request
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
    """Decode a response; raise ApiError if it is an error."""
    try:
        document = json.loads(data)
    except ValueError:
        document = None
    if response.status >= _ERRORS_FROM:
        raise from_status(request, response.status, str(response.reason), document, response.headers)
    if not isinstance(document, dict):
        raise ApiError(request, 0, "BadAnswer", "the API server's response is not a JSON object")
    return document
