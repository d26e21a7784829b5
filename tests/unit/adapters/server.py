"""An HTTP server that answers as told, and remembers what it was asked."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Asked:
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any


@dataclass
class ApiServer:
    """Answers from `script`, in order, then with an empty list for everything."""

    script: list[Any] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    url: str = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        data = await request.read()
        self.asked.append(
            Asked(
                request.method,
                request.raw_path.partition("?")[0],
                dict(request.query),
                dict(request.headers),
                json.loads(data) if data else None,
            )
        )
        answer = self.script.pop(0) if self.script else {"items": [], "metadata": {"resourceVersion": "1"}}
        if callable(answer):
            return await answer(request)  # type: ignore[no-any-return]
        if isinstance(answer, web.Response):
            return answer
        return web.json_response(answer)

    @asynccontextmanager
    async def running(self) -> AsyncIterator["ApiServer"]:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self.handle)
        async with TestServer(app) as server:
            self.url = str(server.make_url("")).rstrip("/")
            yield self


def kubeconfig(folder: Path, url: str, **user: str) -> Path:
    """Write a kubeconfig for a server and return its path."""
    path = folder / "kubeconfig"
    path.write_text(
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": "c", "cluster": {"server": url}}],
                "users": [{"name": "u", "user": user}],
                "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u", "namespace": "team"}}],
                "current-context": "x",
            }
        )
    )
    return path


def failure(status: int, reason: str, message: str, **more: Any) -> web.Response:
    headers = more.pop("headers", None)
    body = {"kind": "Status", "status": "Failure", "reason": reason, "message": message, **more}
    return web.json_response(body, status=status, headers=headers)
