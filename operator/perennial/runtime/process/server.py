"""The HTTP endpoints for kubelet and Prometheus: /healthz, /readyz, /metrics."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from perennial.runtime.process.render import render

Check = Callable[[], str | None]
"""Returns what is wrong, or None."""


class PortTaken(Exception):
    """The port of the HTTP endpoints cannot be opened."""


@asynccontextmanager
async def serving(
    port: int,
    *,
    alive: Check,
    ready: Check,
    registry: CollectorRegistry,
    refresh: Callable[[], Awaitable[None]],
) -> AsyncIterator[None]:
    """Serve the endpoints while the context is open; `refresh` is awaited before every scrape.

    Raises:
        PortTaken: the port cannot be opened; the message says why.
    """

    async def metrics(_: web.Request) -> web.Response:
        await refresh()
        return web.Response(body=await render(registry), headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4})

    app = web.Application()
    app.add_routes(
        [web.get("/healthz", _probe(alive)), web.get("/readyz", _probe(ready)), web.get("/metrics", metrics)]
    )
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, port=port).start()
        except OSError as error:
            raise PortTaken(
                f"port {port} for /healthz, /readyz and /metrics cannot be opened: {error.strerror}. "
                "Set another httpPort"
            ) from error
        yield
    finally:
        await runner.cleanup()


def _probe(check: Check) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def answer(_: web.Request) -> web.Response:
        fault = check()
        return web.Response(text=f"{fault or 'ok'}\n", status=503 if fault else 200)

    return answer
