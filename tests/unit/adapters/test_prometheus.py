"""Answers of the Prometheus HTTP API, as its documentation shows them, and everything that is no number."""

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import web

from perennial.adapters.prometheus import PrometheusReader
from perennial.core.reads import Measurement
from tests.support.http import served

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)


async def measure(answer: Callable[[web.Request], Any], seconds: float = 5, query: str = "up") -> Measurement:
    async with served(answer) as url:
        reader = PrometheusReader(f"{url}/base/", lambda: NOW, seconds)
        try:
            return await reader.measure(query)
        finally:
            await reader.close()


async def measured(document: Any, status: int = 200) -> Measurement:
    """Measure with a server that answers this document."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(text=json.dumps(document), status=status, content_type="application/json")

    return await measure(answer)


def success(kind: str, result: Any) -> dict[str, Any]:
    return {"status": "success", "data": {"resultType": kind, "result": result}}


def series(value: str) -> dict[str, Any]:
    return {"metric": {"__name__": "up", "job": "prometheus"}, "value": [1435781451.781, value]}


async def test_the_query_goes_to_the_api_below_the_base_address_without_credentials() -> None:
    seen: list[tuple[str, str, dict[str, Any], set[str]]] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append((request.method, request.path, dict(await request.post()), set(request.headers)))
        return web.json_response(success("vector", [series("1")]))

    found = await measure(answer, query='sum(rate(x{a="b+c&d"}[1m]))')

    assert found == Measurement(NOW, 1.0)
    method, path, form, headers = seen[0]
    assert (method, path) == ("POST", "/base/api/v1/query")
    assert form == {"query": 'sum(rate(x{a="b+c&d"}[1m]))', "timeout": "5s"}
    assert not {"Authorization", "Cookie"} & headers


@pytest.mark.parametrize(
    ("document", "value"),
    [
        (success("vector", [series("0.25")]), 0.25),
        (success("scalar", [1435781451.781, "-3e-05"]), -3e-05),
        ({**success("vector", [series("7")]), "warnings": ["slow"], "infos": []}, 7.0),
    ],
)
async def test_one_number_is_the_answer(document: Any, value: float) -> None:
    assert (await measured(document)).value == value


@pytest.mark.parametrize(
    ("document", "words"),
    [
        (success("vector", []), "no data"),
        (success("vector", [series("1"), series("2")]), "2 series; aggregate them"),
        (success("vector", [series("NaN")]), "no finite number"),
        (success("vector", [series("+Inf")]), "no finite number"),
        (success("vector", [series("many")]), "no finite number"),
        (success("matrix", [{"metric": {}, "values": [[1, "1"]]}]), "a matrix, not one number"),
        (success("string", [1, "x"]), "a string, not one number"),
        (success("vector", [{"metric": {}, "histogram": [1, {}]}]), "no valid answer"),
        ({"status": "success"}, "no valid answer"),
        (["up"], "no valid answer"),
    ],
)
async def test_what_is_not_one_number_says_why(document: Any, words: str) -> None:
    found = await measured(document)
    assert found.value is None
    assert words in found.problem


async def test_an_error_of_the_query_is_told_in_one_printable_line() -> None:
    error = {"status": "error", "errorType": "bad_data", "error": "parse error:\n\x1b unexpected <EOF>" + "x" * 900}
    found = await measured(error, status=400)
    assert found.problem.startswith("the Prometheus server refused the query: ")
    assert found.problem.isprintable()
    assert len(found.problem) < 300


async def test_a_server_that_is_away_elsewhere_slow_or_endless_is_a_problem_and_no_exception() -> None:
    async def elsewhere(request: web.Request) -> web.Response:
        raise web.HTTPFound("/other") if request.path.startswith("/base") else AssertionError("a redirect was followed")

    async def endless(_: web.Request) -> web.Response:
        return web.Response(body=b" " * 300_000)

    given_up = asyncio.Event()

    async def silent(_: web.Request) -> web.Response:
        await given_up.wait()
        return web.Response()

    assert "no valid answer" in (await measure(elsewhere)).problem
    assert "longer than" in (await measure(endless)).problem
    async with served(silent) as url:
        reader = PrometheusReader(url, lambda: NOW, 0.2)
        assert "no answer within 0.2 s" in (await reader.measure("up")).problem
        await reader.close()
        given_up.set()
    reader = PrometheusReader(url, lambda: NOW)
    assert "cannot be reached" in (await reader.measure("up")).problem
    await reader.close()
