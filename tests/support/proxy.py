"""A programmable proxy between the operator and a real API server.

The operator speaks plain HTTP to the proxy on loopback; the proxy speaks TLS to the API server with the admin's
certificate. It numbers the operator's writes, and can fail any request in the ways in which real ones fail.
"""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import aiohttp
from aiohttp import web

CREATED = 201
WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length", "host", "content-encoding"})
NOT_COUNTED = ("/leases", "/events", "/selfsubjectaccessreviews", "/selfsubjectrulesreviews")
"""Leader election and Events are no part of a resource's lifecycle; they are recorded apart."""


@dataclass
class Write:
    """One write that reached the proxy; `status` is the API server's answer, 0 while there is none."""

    number: int
    method: str
    path: str
    body: Any
    status: int = 0
    counted: bool = True

    def __str__(self) -> str:
        """Return the form that a failing test shows."""
        return f"#{self.number} {self.method} {self.path} -> {self.status or 'no answer'}"


@dataclass(frozen=True)
class Answer:
    """Answer instead of the API server."""

    status: int
    reason: str = "InternalError"
    retry_after: int | None = None


Fault = Answer | Literal["reset", "swallow", "truncate"]
"""`reset`: cut before the API server sees it. `swallow`: it acts, the reply is lost. `truncate`: half of the reply."""

Request = web.Request
FaultRule = Callable[[Request], Fault | None]
Hook = Callable[[Write], Awaitable[bool]]
"""Called around a write; True means that the caller is gone and the exchange ends here."""


@dataclass(eq=False)
class WatchStream:
    """One watch that the operator holds."""

    path: str
    response: web.StreamResponse
    transport: Any
    frozen: asyncio.Event
    held: list[bytes] = field(default_factory=list)

    async def send_error(self, code: int) -> None:
        """Send a frame of type ERROR, as the API server does when a watch cannot go on."""
        status = {
            "kind": "Status",
            "apiVersion": "v1",
            "status": "Failure",
            "code": code,
            "reason": "Expired" if code == 410 else "InternalError",
            "message": "sent by the test",
        }
        await self.response.write(json.dumps({"type": "ERROR", "object": status}).encode() + b"\n")

    def cut(self) -> None:
        """Break the connection."""
        if self.transport is not None:
            self.transport.abort()


class Proxy:
    """The proxy itself; use it as `async with Proxy.running(server, context) as proxy`."""

    def __init__(self, server: str, tls: ssl.SSLContext) -> None:
        self._server = server
        self._tls = tls
        self._session: aiohttp.ClientSession | None = None
        self._watches: set[WatchStream] = set()
        self._exchanges: set[asyncio.Task[web.StreamResponse]] = set()
        self.url = ""
        self.writes: list[Write] = []
        self.uncounted: list[Write] = []
        self.before: Hook | None = None
        self.after: Hook | None = None
        self.fault: FaultRule = lambda _: None
        self.drop_event: Callable[[dict[str, Any]], bool] = lambda _: False
        self._flowing = asyncio.Event()
        self._flowing.set()

    @classmethod
    @asynccontextmanager
    async def running(cls, server: str, tls: ssl.SSLContext) -> AsyncIterator["Proxy"]:
        """Serve on a free loopback port until the context ends."""
        proxy = cls(server, tls)
        app = web.Application(client_max_size=16 * 2**20)
        app.router.add_route("*", "/{tail:.*}", proxy._handle)
        runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        proxy.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        connector = aiohttp.TCPConnector(ssl=tls, limit=0)
        # Each watch event is one line, and an object may have a megabyte.
        async with aiohttp.ClientSession(connector=connector, auto_decompress=False, read_bufsize=4 * 2**20) as session:
            proxy._session = session
            try:
                yield proxy
            finally:
                proxy.thaw()
                for watch in tuple(proxy._watches):
                    watch.cut()
                await runner.cleanup()
                await asyncio.gather(*proxy._exchanges, return_exceptions=True)

    def forget(self) -> None:
        """Start counting anew."""
        self.writes.clear()
        self.uncounted.clear()

    def heal(self) -> None:
        """Stop all faults."""
        self.fault, self.before, self.after = (lambda _: None), None, None
        self.drop_event = lambda _: False
        self.thaw()

    def freeze(self) -> None:
        """Hold back everything that watches would tell: the operator's view grows stale."""
        self._flowing.clear()

    def thaw(self) -> None:
        """Let watches tell again, with all that was held back."""
        self._flowing.set()

    def created(self) -> list[str]:
        """Return the paths of all objects that writes have made, once for each time that one was made."""
        return sorted(_object_path(write) for write in self.writes if write.status == CREATED)

    def watches(self, part: str = "") -> tuple[WatchStream, ...]:
        """Return the open watches whose path contains a text."""
        return tuple(watch for watch in self._watches if part in watch.path)

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        write = self._record(request, body)
        if write is not None and await _ends(self.before, write):
            return self._abort(request)
        fault = self.fault(request)
        if isinstance(fault, Answer):
            return _failure(fault)
        if fault == "reset":
            return self._abort(request)
        if write is None:
            return await self._forward(request, body, write, fault)
        # The API server does what it was asked, whether or not the operator lives to hear the answer: so a write is
        # seen to its end, and noted, although its operator is killed meanwhile.
        exchange = asyncio.create_task(self._forward(request, body, write, fault))
        self._exchanges.add(exchange)
        exchange.add_done_callback(self._exchanges.discard)
        return await asyncio.shield(exchange)

    def _record(self, request: web.Request, body: bytes) -> Write | None:
        if request.method not in WRITES:
            return None
        counted = not any(part in request.path for part in NOT_COUNTED)
        target = self.writes if counted else self.uncounted
        write = Write(len(target) + 1, request.method, request.path, _decoded(body), counted=counted)
        target.append(write)
        return write

    async def _forward(
        self, request: web.Request, body: bytes, write: Write | None, fault: Fault | None
    ) -> web.StreamResponse:
        assert self._session is not None
        headers = {
            key: value for key, value in request.headers.items() if key.lower() not in HOP_BY_HOP | {"authorization"}
        }
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=5)
        async with self._session.request(
            request.method, self._server + request.raw_path, data=body or None, headers=headers, timeout=timeout
        ) as answer:
            if request.query.get("watch") in {"1", "true"}:
                return await self._stream(request, answer)
            content = await answer.read()
        if write is not None:
            write.status = answer.status
            if await _ends(self.after, write):
                return self._abort(request)
        if fault == "swallow":
            return self._abort(request)
        if fault == "truncate":
            content = content[: len(content) // 2]
        kept = {key: value for key, value in answer.headers.items() if key.lower() not in HOP_BY_HOP}
        if encoding := answer.headers.get("Content-Encoding"):
            kept["Content-Encoding"] = encoding
        return web.Response(status=answer.status, body=content, headers=kept)

    async def _stream(self, request: web.Request, answer: aiohttp.ClientResponse) -> web.StreamResponse:
        response = web.StreamResponse(status=answer.status, headers={"Content-Type": "application/json"})
        response.enable_chunked_encoding()
        await response.prepare(request)
        watch = WatchStream(request.raw_path, response, request.transport, self._flowing)
        self._watches.add(watch)
        try:
            async for line in answer.content:
                await self._flowing.wait()
                if not self.drop_event(_decoded(line) or {}):
                    await response.write(line)
        except (ConnectionError, aiohttp.ClientError):
            watch.cut()
        finally:
            self._watches.discard(watch)
        return response

    def _abort(self, request: web.Request) -> web.StreamResponse:
        if request.transport is not None:
            request.transport.abort()
        return web.Response(status=500)


async def _ends(hook: Hook | None, write: Write) -> bool:
    """Call a hook around a write that counts; tell whether the exchange ends here."""
    return hook is not None and write.counted and await hook(write)


def _failure(fault: Answer) -> web.Response:
    headers = {"Retry-After": str(fault.retry_after)} if fault.retry_after is not None else {}
    status = {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "code": fault.status,
        "reason": fault.reason,
        "message": "sent by the test",
    }
    return web.json_response(status, status=fault.status, headers=headers)


def _object_path(write: Write) -> str:
    return write.path if write.method == "PATCH" else f"{write.path}/{write.body['metadata']['name']}"


def _decoded(body: bytes) -> Any:
    try:
        return json.loads(body) if body.strip() else None
    except ValueError:
        return None


__all__ = ["Answer", "Fault", "Proxy", "WatchStream", "Write"]
