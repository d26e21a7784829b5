"""What goes over the wire, and what comes back as which error."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from perennial.adapters.cluster import Cluster, kind_of, path_of
from perennial.adapters.connection import Connection
from perennial.adapters.errors import ApiError, ClusterConfigError, NotLeader
from perennial.adapters.limiter import TokenBucket
from perennial.core.kinds import EVENT, JOB, LEASE, POD, SERVICE, TRAINING_JOB, Kind
from tests.unit.adapters.server import ApiServer, failure, kubeconfig

JOB_RAW = {
    "apiVersion": "batch/v1",
    "kind": "Job",
    "metadata": {"name": "j", "namespace": "n", "uid": "u", "resourceVersion": "5", "labels": {"a": "b"}},
}


@pytest.fixture
async def server() -> AsyncIterator[ApiServer]:
    async with ApiServer().running() as running:
        yield running


@pytest.fixture
async def connection(server: ApiServer, tmp_path: Path) -> AsyncIterator[Connection]:
    opened = await Connection.open(kubeconfig(tmp_path, server.url, token="made-up"))
    yield opened
    await opened.close()


@pytest.fixture
def cluster(connection: Connection) -> Cluster:
    return Cluster(connection)


@pytest.mark.parametrize(
    ("kind", "namespace", "name", "subresource", "path"),
    [
        (POD, None, None, "", "/api/v1/pods"),
        (JOB, "n", None, "", "/apis/batch/v1/namespaces/n/jobs"),
        (TRAINING_JOB, "n", "a", "status", "/apis/perennial.dev/v1alpha1/namespaces/n/trainingjobs/a/status"),
        (SERVICE, "n", "../../secrets", "", "/api/v1/namespaces/n/services/..%2F..%2Fsecrets"),
        (SERVICE, "n/../m", "a?x=y", "", "/api/v1/namespaces/n%2F..%2Fm/services/a%3Fx%3Dy"),
    ],
)
def test_paths_hold_names_in_their_place(
    kind: Kind, namespace: str | None, name: str | None, subresource: str, path: str
) -> None:
    assert path_of(kind, namespace, name, subresource) == path


def test_only_kinds_of_ours_can_be_written() -> None:
    assert kind_of(JOB_RAW) is JOB
    with pytest.raises(KeyError):
        kind_of({"apiVersion": "v1", "kind": "Secret"})


async def test_a_list_is_read_page_by_page(server: ApiServer, cluster: Cluster) -> None:
    server.script = [
        {"items": [{"metadata": {"name": "a"}}], "metadata": {"resourceVersion": "7", "continue": "more"}},
        {"items": [{"metadata": {"name": "b"}}], "metadata": {"resourceVersion": "7"}},
    ]
    pages = [page async for page in cluster.pages(JOB, None, "perennial.dev/kind")]
    assert [item["metadata"]["name"] for page in pages for item in page.items] == ["a", "b"]
    assert pages[0].items[0]["apiVersion"] == "batch/v1"
    assert pages[0].items[0]["kind"] == "Job"
    assert {page.resource_version for page in pages} == {"7"}
    assert [asked.query for asked in server.asked] == [
        {"limit": "100", "labelSelector": "perennial.dev/kind"},
        {"limit": "100", "labelSelector": "perennial.dev/kind", "continue": "more"},
    ]
    assert server.asked[0].headers["Authorization"] == "Bearer made-up"


async def test_the_verbs_and_what_they_send(server: ApiServer, cluster: Cluster) -> None:
    server.script = [dict(JOB_RAW) for _ in range(6)]
    await cluster.get(JOB, "n", "j")
    await cluster.create(JOB_RAW, "perennial")
    await cluster.apply(JOB_RAW, "perennial")
    await cluster.replace_status(JOB, JOB_RAW, {"active": 1})
    await cluster.delete(JOB, "n", "j", "u")
    await cluster.post_event({"apiVersion": "v1", "kind": "Event", "metadata": {"namespace": "n"}})
    got, created, applied, status, deleted, event = server.asked
    place = "/apis/batch/v1/namespaces/n/jobs"
    assert (got.method, got.path) == ("GET", f"{place}/j")
    assert (created.method, created.path, created.body) == ("POST", place, JOB_RAW)
    assert (applied.method, applied.path) == ("PATCH", f"{place}/j")
    assert applied.query == {"fieldManager": "perennial", "force": "true"}
    assert applied.headers["Content-Type"] == "application/apply-patch+yaml"
    assert (status.method, status.path) == ("PUT", f"{place}/j/status")
    assert status.body == {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "j", "namespace": "n", "uid": "u", "resourceVersion": "5"},
        "status": {"active": 1},
    }
    assert (deleted.method, deleted.body["preconditions"]) == ("DELETE", {"uid": "u"})
    assert deleted.body["propagationPolicy"] == "Background"
    assert (event.method, event.path) == ("POST", "/api/v1/namespaces/n/events")


async def test_what_is_not_there_is_none(server: ApiServer, cluster: Cluster) -> None:
    server.script = [failure(404, "NotFound", "no"), failure(404, "NotFound", "no")]
    assert await cluster.get(JOB, "n", "j") is None
    assert await cluster.get_lease("n", "l", 1) is None


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (failure(409, "AlreadyExists", "x"), {"conflict": True}),
        (failure(404, "NotFound", 'namespaces "n" not found'), {"gone": True, "not_found": True}),
        (web.Response(status=404, text="404 page not found"), {"gone": False, "not_found": True}),
        (
            failure(403, "Forbidden", "jobs is forbidden: exceeded quota: q"),
            {"quota_exceeded": True, "rejected": False},
        ),
        (failure(403, "Forbidden", 'User "x" cannot create resource'), {"forbidden": True, "rejected": False}),
        (failure(403, "Forbidden", "denied the request"), {"rejected": True}),
        (failure(422, "Invalid", "must be positive"), {"rejected": True, "message": "must be positive"}),
        (
            failure(403, "Forbidden", "x", details={"causes": [{"reason": "NamespaceTerminating"}]}),
            {"namespace_ending": True},
        ),
        (failure(429, "TooManyRequests", "x", headers={"Retry-After": "7"}), {"retry_after": 7.0}),
        (failure(503, "ServiceUnavailable", "x", headers={"Retry-After": "soon"}), {"retry_after": None}),
        (web.Response(status=502, text="<html>"), {"status": 502, "message": "the API server gave no message"}),
        (web.Response(status=200, text="{"), {"status": 0, "reason": "BadAnswer"}),
        (web.json_response([1]), {"status": 0, "reason": "BadAnswer"}),
    ],
)
async def test_errors_can_be_told_apart(
    server: ApiServer, cluster: Cluster, answer: web.Response, expected: dict[str, Any]
) -> None:
    server.script = [answer]
    with pytest.raises(ApiError) as caught:
        await cluster.create(JOB_RAW, "perennial")
    assert {name: getattr(caught.value, name) for name in expected} == expected
    assert "made-up" not in str(caught.value)


async def test_a_lost_connection_is_an_api_error(server: ApiServer, cluster: Cluster) -> None:
    async def hang_up(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.close()
        return web.Response()

    server.script = [hang_up, hang_up]
    with pytest.raises(ApiError) as caught:
        await cluster.create(JOB_RAW, "perennial")
    assert (caught.value.status, caught.value.reason) == (0, "Unreachable")


async def test_a_server_that_is_not_there_is_an_api_error(tmp_path: Path) -> None:
    connection = await Connection.open(kubeconfig(tmp_path, "http://127.0.0.1:1"))
    with pytest.raises(ApiError) as caught:
        await Cluster(connection).get(JOB, "n", "j")
    assert caught.value.status == 0
    await connection.close()


async def test_the_gate_stops_every_write_but_the_leases(server: ApiServer, connection: Connection) -> None:
    def closed() -> None:
        raise NotLeader

    cluster = Cluster(connection, guard=closed)
    for write in (
        cluster.create(JOB_RAW, "x"),
        cluster.apply(JOB_RAW, "x"),
        cluster.replace_status(JOB, JOB_RAW, {}),
        cluster.delete(JOB, "n", "j", "u"),
        cluster.post_event({"metadata": {"namespace": "n"}}),
    ):
        with pytest.raises(NotLeader):
            await write
    assert server.asked == []
    lease = {"apiVersion": LEASE.api_version, "kind": "Lease", "metadata": {"name": "l", "namespace": "n"}}
    await cluster.create_lease(lease, 1)
    await cluster.replace_lease(lease, 1)
    assert [asked.method for asked in server.asked] == ["POST", "PUT"]


async def test_writes_are_told_to_the_listener(server: ApiServer, connection: Connection) -> None:
    told: list[tuple[str, Kind, int]] = []
    cluster = Cluster(connection, on_write=lambda verb, kind, status, _: told.append((verb, kind, status)))
    server.script = [dict(JOB_RAW), failure(409, "Conflict", "x")]
    await cluster.create(JOB_RAW, "x")
    with pytest.raises(ApiError):
        await cluster.post_event({"metadata": {"namespace": "n"}})
    assert told == [("create", JOB, 200), ("create", EVENT, 409)]


async def test_writes_beyond_the_burst_wait_their_turn() -> None:
    now, waits = [0.0], []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    bucket = TokenBucket(10, 2, clock=lambda: now[0], sleep=sleep)
    for _ in range(4):
        await bucket.acquire()
    assert waits == pytest.approx([0.1, 0.2])
    now[0] = 60.0
    waits.clear()
    for _ in range(3):
        await bucket.acquire()
    assert waits == pytest.approx([0.1])


async def test_no_rate_means_no_wait() -> None:
    bucket = TokenBucket(0, 1)
    for _ in range(1000):
        await bucket.acquire()


async def test_the_context_gives_the_namespace(connection: Connection) -> None:
    assert connection.namespace == "team"


@pytest.mark.parametrize("text", ["", "{", "{}", "kind: Config", "current-context: x"])
async def test_a_broken_kubeconfig_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "broken"
    path.write_text(text)
    with pytest.raises(ClusterConfigError, match=str(path)):
        await Connection.open(path)


async def test_an_unknown_context_is_named(tmp_path: Path) -> None:
    with pytest.raises(ClusterConfigError, match="other"):
        await Connection.open(kubeconfig(tmp_path, "http://127.0.0.1:1"), "other")


async def test_watches_carry_the_credentials_and_are_reported(server: ApiServer, connection: Connection) -> None:
    streams: list[str] = []
    async with connection.watch_session(streams.append) as session:
        await session.get(f"{server.url}/api/v1/pods")
        await session.get(f"{server.url}/api/v1/pods?watch=true")
        server.script = [failure(410, "Gone", "x")]
        await session.get(f"{server.url}/api/v1/services?watch=true")
    assert streams == ["/api/v1/pods"]
    assert {asked.headers["Authorization"] for asked in server.asked} == {"Bearer made-up"}
