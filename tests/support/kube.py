"""A small client for tests: raw objects over HTTP, with the admin's certificate."""

import asyncio
import ssl
import time
from base64 import b64decode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import aiohttp
import yaml

from perennial.core.kinds import Kind

Raw = dict[str, Any]


class Refused(AssertionError):
    """The API server said no."""

    def __init__(self, status: int, body: Any) -> None:
        """Keep what was said."""
        self.status = status
        self.body = body
        message = body.get("message", body) if isinstance(body, dict) else body
        super().__init__(f"{status}: {message}")


def admin(kubeconfig: Path) -> tuple[str, ssl.SSLContext]:
    """Return the address of the API server and the TLS context of a kubeconfig with client certificates."""
    config = yaml.safe_load(kubeconfig.read_text())
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    context = ssl.create_default_context(
        cafile=cluster.get("certificate-authority"),
        cadata=b64decode(cluster["certificate-authority-data"]).decode()
        if "certificate-authority-data" in cluster
        else None,
    )
    if "client-certificate" in user:
        context.load_cert_chain(user["client-certificate"], user["client-key"])
        return cluster["server"], context
    with NamedTemporaryFile(mode="wb") as both:  # OpenSSL reads certificates from files only
        both.write(b64decode(user["client-certificate-data"]) + b"\n" + b64decode(user["client-key-data"]))
        both.flush()
        context.load_cert_chain(both.name)
    return cluster["server"], context


def path_of(kind: Kind, namespace: str | None = None, name: str | None = None, subresource: str | None = None) -> str:
    """Return the path of a collection, an object, or a subresource."""
    parts = ["apis", kind.group, kind.version] if kind.group else ["api", kind.version]
    parts += ["namespaces", namespace] if namespace else []
    return "/" + "/".join([*parts, kind.plural, *filter(None, [name, subresource])])


class Kube:
    """The client; use it as `async with Kube.connected(kubeconfig) as kube`."""

    def __init__(self, server: str, session: aiohttp.ClientSession) -> None:
        self._server = server
        self._session = session

    @classmethod
    @asynccontextmanager
    async def connected(cls, kubeconfig: Path) -> AsyncIterator["Kube"]:
        """Connect until the context ends."""
        server, tls = admin(kubeconfig)
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=tls, limit=64), read_bufsize=4 * 2**20
        ) as session:
            yield cls(server, session)

    async def request(self, method: str, path: str, body: Any = None, content: str = "application/json") -> Any:
        """Send one request and return the JSON that came back.

        Raises:
            Refused: the answer was an error.
        """
        async with self._session.request(
            method, self._server + path, json=body, headers={"Content-Type": content}
        ) as answer:
            found = (
                await answer.json(content_type=None)
                if answer.content_type == "application/json"
                else await answer.text()
            )
            if answer.status >= 400:
                raise Refused(answer.status, found)
            return found

    @asynccontextmanager
    async def stream(self, path: str) -> AsyncIterator[aiohttp.ClientResponse]:
        """Open a watch; its lines are the events."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=5)
        async with self._session.get(self._server + path, timeout=timeout) as answer:
            if answer.status != 200:
                raise Refused(answer.status, await answer.text())
            yield answer

    async def get(self, kind: Kind, namespace: str, name: str) -> Raw | None:
        """Return the object, or None."""
        try:
            return dict(await self.request("GET", path_of(kind, namespace, name)))
        except Refused as refused:
            if refused.status == 404:
                return None
            raise

    async def list(self, kind: Kind, namespace: str | None = None, selector: str = "") -> list[Raw]:
        """Return the objects, by name."""
        query = f"?labelSelector={selector}" if selector else ""
        found = await self.request("GET", path_of(kind, namespace) + query)
        return sorted(found["items"], key=lambda item: item["metadata"]["name"])

    async def create(self, kind: Kind, namespace: str | None, body: Raw) -> Raw:
        """Create the object."""
        full = {"apiVersion": kind.api_version, "kind": kind.kind, **body}
        return dict(await self.request("POST", path_of(kind, namespace), full))

    async def patch(self, kind: Kind, namespace: str, name: str, body: Raw, subresource: str | None = None) -> Raw:
        """Merge into the object."""
        path = path_of(kind, namespace, name, subresource)
        return dict(await self.request("PATCH", path, body, "application/merge-patch+json"))

    async def delete(self, kind: Kind, namespace: str | None, name: str, propagation: str = "Background") -> None:
        """Delete the object; one that is gone is fine."""
        try:
            await self.request("DELETE", path_of(kind, namespace, name), {"propagationPolicy": propagation})
        except Refused as refused:
            if refused.status != 404:
                raise

    async def namespace(self, name: str) -> str:
        """Make a namespace and return its name."""
        await self.request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
        return name


PATIENCE = 3
"""Waits may take so many times as long as on a quiet machine: the tests share two cores with the cluster."""


async def eventually(check: Callable[[], Awaitable[Any]], what: str, seconds: float = 30, pause: float = 0.1) -> Any:
    """Return the first true answer of a check; fail with the last answer when there is none in time.

    A wait ends as soon as the check is true, so patience costs time only where a test fails.
    """
    seconds *= PATIENCE
    end = time.monotonic() + seconds
    found: Any = None
    while time.monotonic() < end:
        found = await check()
        if found:
            return found
        await asyncio.sleep(pause)
    raise AssertionError(f"not within {seconds:.0f} s: {what}; last seen: {found!r}")
