"""kopf feeds the listener, writes nothing, and its end does not go unnoticed."""

import asyncio
import getpass
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from perennial.core.kinds import RESOURCES, WATCHED_BY_LABEL, Kind, Raw
from perennial.handlers.watch import WatchEnded, WatchPlan, _Backoffs, run_watch

KINDS = (*RESOURCES, *WATCHED_BY_LABEL)


class Watched:
    """An API server with discovery, lists and one watch a kind."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.streams: dict[str, asyncio.Queue[Any]] = {kind.plural: asyncio.Queue() for kind in KINDS}
        self.listed: dict[str, list[Raw]] = {}
        self.url = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append((request.method, request.path, dict(request.query)))
        parts = request.path.strip("/").split("/")
        if parts == ["api"]:
            return web.json_response({"versions": ["v1"]})
        if parts == ["apis"]:
            return web.json_response({"groups": [self._group(group) for group in self._groups()]})
        if len(parts) == (2 if parts[0] == "api" else 3):
            group = "" if parts[0] == "api" else parts[1]
            return web.json_response(
                {"resources": [self._about(kind) for kind in KINDS if kind.group == group] + self._crds(group)}
            )
        if request.query.get("watch") == "true":
            return await self._stream(request, parts[-1])
        return web.json_response({"items": self.listed.get(parts[-1], []), "metadata": {"resourceVersion": "1"}})

    async def _stream(self, request: web.Request, plural: str) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            event = await self.streams[plural].get()
            if event is None:
                return response
            await response.write(json.dumps(event).encode() + b"\n")
            if event["type"] == "ERROR":
                return response

    def _groups(self) -> list[str]:
        return [*dict.fromkeys(kind.group for kind in KINDS if kind.group), "apiextensions.k8s.io"]

    def _group(self, group: str) -> dict[str, Any]:
        version = {"version": next((kind.version for kind in KINDS if kind.group == group), "v1")}
        return {"name": group, "versions": [version], "preferredVersion": version}

    def _about(self, kind: Kind) -> dict[str, Any]:
        return {
            "name": kind.plural,
            "kind": kind.kind,
            "singularName": kind.kind.lower(),
            "namespaced": True,
            "verbs": ["list", "watch", "patch"],
        }

    def _crds(self, group: str) -> list[dict[str, Any]]:
        name = {
            "": ("namespaces", "Namespace"),
            "apiextensions.k8s.io": ("customresourcedefinitions", "CustomResourceDefinition"),
        }
        if group not in name:
            return []
        plural, kind = name[group]
        return [
            {
                "name": plural,
                "kind": kind,
                "singularName": kind.lower(),
                "namespaced": False,
                "verbs": ["list", "watch"],
            }
        ]

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Watched"]:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self.handle)
        async with TestServer(app) as server:
            self.url = str(server.make_url("")).rstrip("/")
            yield self


class Listener:
    def __init__(self) -> None:
        self.events: list[tuple[str, str | None, str]] = []
        self.boring: set[str] = set()

    def is_news(self, kind: Kind, event: str | None, raw: Raw) -> bool:
        return raw["metadata"]["name"] not in self.boring

    def on_event(self, kind: Kind, event: str | None, raw: Raw) -> None:
        if (event, raw["metadata"]["name"]) == ("ADDED", "bad"):
            raise RecursionError("a bug")
        self.events.append((kind.kind, event, raw["metadata"]["name"]))


def made(name: str, kind: Kind) -> Raw:
    metadata = {"name": name, "namespace": "n", "uid": f"{kind.kind}-{name}", "resourceVersion": "5"}
    return {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata, "spec": {}}


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.01)


@asynccontextmanager
async def watching(server: Watched, listener: Listener, *namespaces: str) -> AsyncIterator[asyncio.Task[None]]:
    started = asyncio.Event()
    plan = WatchPlan(server.url, aiohttp.ClientSession, namespaces)
    task = asyncio.create_task(run_watch(plan, listener, started.set))
    await started.wait()
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def server() -> AsyncIterator[Watched]:
    async with Watched().running() as running:
        yield running


async def test_what_is_listed_and_what_happens_reaches_the_listener_and_nothing_is_written(server: Watched) -> None:
    listener = Listener()
    tj, pod = RESOURCES[0], WATCHED_BY_LABEL[-1]
    server.listed[tj.plural] = [made("a", tj)]
    async with watching(server, listener):
        await until(lambda: len(listener.events) == 1)
        for kind in ("ADDED", "MODIFIED", "DELETED"):
            server.streams[pod.plural].put_nowait({"type": kind, "object": made("p", pod)})
        await until(lambda: len(listener.events) == 4)
    assert listener.events == [
        (tj.kind, None, "a"),
        (pod.kind, "ADDED", "p"),
        (pod.kind, "MODIFIED", "p"),
        (pod.kind, "DELETED", "p"),
    ]
    assert {method for method, _, _ in server.requests} == {"GET"}


async def test_a_user_without_a_name_can_watch(server: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container's user is a number; kopf would ask for its name."""

    def nameless() -> str:
        raise KeyError("getpwuid(): uid not found: 65532")

    monkeypatch.setattr(getpass, "getuser", nameless)
    async with watching(server, Listener()):
        await until(lambda: any(query.get("watch") == "true" for _, _, query in server.requests))


async def test_only_what_carries_our_label_is_asked_for(server: Watched) -> None:
    async with watching(server, Listener()):
        await until(lambda: sum(query.get("watch") == "true" for _, _, query in server.requests) == len(KINDS))
    for kind in KINDS:
        selectors = {
            query.get("labelSelector") for _, path, query in server.requests if path.endswith(f"/{kind.plural}")
        }
        assert selectors == ({None} if kind in RESOURCES else {"perennial.dev/kind"})


async def test_only_the_namespaces_given_are_watched(server: Watched) -> None:
    async with watching(server, Listener(), "one", "two"):
        await until(lambda: sum(query.get("watch") == "true" for _, _, query in server.requests) == 2 * len(KINDS))
    watched = {path for _, path, query in server.requests if query.get("watch") == "true"}
    assert "/apis/batch/v1/namespaces/one/jobs" in watched
    assert "/apis/batch/v1/namespaces/two/jobs" in watched
    assert "/apis/batch/v1/jobs" not in watched


async def test_what_is_no_news_is_not_handled(server: Watched) -> None:
    listener = Listener()
    listener.boring = {"echo"}
    tj = RESOURCES[0]
    async with watching(server, listener):
        for name in ("echo", "new"):
            server.streams[tj.plural].put_nowait({"type": "ADDED", "object": made(name, tj)})
        await until(lambda: bool(listener.events))
    assert listener.events == [(tj.kind, "ADDED", "new")]


async def test_a_listener_that_fails_does_not_stop_the_watch(server: Watched) -> None:
    listener = Listener()
    tj = RESOURCES[0]
    async with watching(server, listener):
        for kind, name in (("ADDED", "bad"), ("MODIFIED", "bad"), ("ADDED", "good")):
            server.streams[tj.plural].put_nowait({"type": kind, "object": made(name, tj)})
        await until(lambda: len(listener.events) == 2)
    assert sorted(listener.events) == [(tj.kind, "ADDED", "good"), (tj.kind, "MODIFIED", "bad")]


async def test_a_broken_stream_is_opened_again(server: Watched) -> None:
    listener = Listener()
    tj = RESOURCES[0]
    gone = {"type": "ERROR", "object": {"kind": "Status", "code": 410, "reason": "Expired"}}
    async with watching(server, listener):
        for end in (None, gone):
            server.streams[tj.plural].put_nowait(end)
        server.streams[tj.plural].put_nowait({"type": "ADDED", "object": made("later", tj)})
        await until(lambda: bool(listener.events))
    assert listener.events == [(tj.kind, "ADDED", "later")]


async def test_a_watch_that_dies_is_told_with_its_cause(server: Watched) -> None:
    error = {"type": "ERROR", "object": {"kind": "Status", "code": 500, "reason": "InternalError"}}
    async with watching(server, Listener()) as task:
        server.streams[RESOURCES[0].plural].put_nowait(error)
        with pytest.raises(WatchEnded, match="InternalError"):
            async with asyncio.timeout(5):
                await task


def test_waits_between_attempts_differ_each_time() -> None:
    backoffs = _Backoffs()
    first, second = list(backoffs), list(backoffs)
    assert len(first) == len(backoffs) == 64
    assert first != second
    assert sum(first) > 120
