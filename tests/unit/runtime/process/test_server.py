"""The endpoints of kubelet and Prometheus."""

import socket
from collections.abc import Iterator

import aiohttp
import pytest
from prometheus_client import CollectorRegistry, Gauge

from perennial.runtime.process.server import PortTaken, serving
from tests.support.ports import reserved


async def read(port: int, path: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}{path}") as response:
        return response.status, await response.text()


@pytest.fixture
def port() -> Iterator[int]:
    with reserved() as found:
        yield found


async def test_the_endpoints_say_what_is_wrong(port: int) -> None:
    faults = ["not yet"]
    registry = CollectorRegistry()
    scrapes = Gauge("scrapes", "Scrapes.", registry=registry)

    async def refresh() -> None:
        scrapes.inc()

    async with serving(
        port,
        alive=lambda: None,
        ready=lambda: faults[0] if faults else None,
        registry=registry,
        refresh=refresh,
    ):
        assert await read(port, "/healthz") == (200, "ok\n")
        assert await read(port, "/readyz") == (503, "not yet\n")
        faults.clear()
        assert await read(port, "/readyz") == (200, "ok\n")
        status, text = await read(port, "/metrics")
        assert status == 200
        assert "scrapes 1.0" in text
        assert (await read(port, "/other"))[0] == 404
    with pytest.raises(aiohttp.ClientConnectorError):
        await read(port, "/healthz")


async def test_a_port_that_is_taken_is_named_with_the_next_step() -> None:
    async def refresh() -> None:
        return

    with socket.socket() as taken:
        taken.bind(("0.0.0.0", 0))  # noqa: S104 - to be in the way
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(PortTaken, match=f"port {port}.*Set another httpPort"):
            async with serving(
                port,
                alive=lambda: None,
                ready=lambda: None,
                registry=CollectorRegistry(),
                refresh=refresh,
            ):
                pytest.fail("the port is not free")
