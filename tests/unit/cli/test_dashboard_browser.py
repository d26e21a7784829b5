"""The dashboard in a real browser. Without Chromium these do not run; the report names them as skipped."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest

from perennial.cli.errors import CliError
from perennial.core.kinds import Kind, Raw
from tests.support.browser import CHROMIUM, Tab, browser
from tests.unit.cli import scene
from tests.unit.cli.test_dashboard import serving
from tests.unit.cli.world import FakeCluster

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="NOT RUN: no Chromium is installed, so no browser has shown the page"),
    pytest.mark.timeout(300),
]
LIVE = "document.getElementById('link')?.textContent === 'Live'"


class Breakable(FakeCluster):
    """A cluster that can stop answering."""

    broken = ""

    def list(self, kind: Kind, namespace: str | None = None, selector: str = "") -> tuple[Raw, ...]:
        if self.broken:
            raise CliError(self.broken)
        return super().list(kind, namespace, selector)


@asynccontextmanager
async def opened(cluster: FakeCluster) -> AsyncIterator[Tab]:
    """The page of model churn, reached as a person reaches it: by the address, then by the keyboard."""
    with serving(cluster, now=lambda: datetime.now(UTC)) as server:
        async with browser() as tab:
            await tab.open(server.address)
            await tab.until(f"location.search === '' && {LIVE}")
            await tab.press("Tab")
            assert await tab.value("document.activeElement.textContent") == "Skip to content"
            await tab.value("document.getElementById('to-md-churn').focus()")
            await tab.press("Enter")
            await tab.until(f"location.pathname.endsWith('/model/md/churn') && {LIVE}")
            yield tab


async def test_a_rollout_advances_on_the_page_while_it_advances_in_the_cluster() -> None:
    cluster = scene.cluster(10, 1)
    async with opened(cluster) as tab:
        shown = "document.getElementById('parts').innerText"
        await tab.until(f"{shown}.includes('The candidate gets 10 % of the requests')")
        assert await tab.value("document.querySelector('.stage.active h3').textContent") == "Candidate"
        passed = [{**gate, "verdict": "Passed"} for gate in scene.GATES]
        cluster.objects[1] = scene.deployment(scene.candidate(50, 3, *passed))
        await tab.until(f"{shown}.includes('The candidate gets 50 % of the requests')")
        assert "3 of 3 passed" in await tab.value("document.getElementById('say').textContent")
        cluster.objects[1] = scene.deployment(None)
        await tab.until(f"{shown}.includes('No rollout is under way')")
        assert await tab.value("document.querySelectorAll('.stage.active').length") == 0


async def test_nothing_is_asked_from_elsewhere_and_nothing_is_wider_than_the_window() -> None:
    async with opened(scene.cluster()) as tab:
        for width in (375, 1440):
            for dark in (False, True):
                await tab.size(width, 900, dark=dark)
                assert await tab.value("document.documentElement.scrollWidth <= innerWidth"), width
                back = await tab.value("getComputedStyle(document.body).backgroundColor")
                assert (back == "rgb(18, 22, 28)") is dark
        assert await tab.value("document.cookie") == ""  # HttpOnly
        assert all(url.startswith("http://127.0.0.1:") for url in tab.requested), tab.requested
        assert tab.problems == []


async def test_hostile_messages_run_nothing_and_the_page_recovers_from_failures() -> None:
    hostile = "<img src=x onerror=\"document.title='owned'\">"
    cluster = Breakable(*scene.cluster().objects)
    found = json.loads(json.dumps(cluster.objects[1]))
    found["status"]["candidate"]["message"] = hostile
    cluster.objects[1] = found
    async with opened(cluster) as tab:
        assert hostile in await tab.value("document.getElementById('rollout').innerText")
        assert await tab.value("document.images.length") == 0
        cluster.broken = "the API server cannot be reached"
        await tab.until("document.getElementById('trouble') !== null")
        assert "What follows was read" in await tab.value("document.getElementById('trouble').innerText")
        assert hostile in await tab.value("document.getElementById('rollout').innerText")
        cluster.broken = ""
        await tab.until("document.getElementById('trouble') === null")
        assert "owned" not in await tab.value("document.title")
