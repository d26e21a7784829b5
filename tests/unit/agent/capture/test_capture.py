"""The capture sidecar as a process between a real client and a real server, with a real S3 behind it."""

import asyncio
import gzip
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from perennial.agent.records.parquet import parquet_lines
from perennial.api.common.pod import Storage
from perennial.api.contract.commands import CaptureConfig
from tests.support.kube import eventually
from tests.support.ports import reserved
from tests.unit.agent.conftest import S3Server

DIGEST = "sha256:" + "d" * 64
ROOT = Path(__file__).resolve().parents[4]


async def answer(request: web.Request) -> web.StreamResponse:
    body = await request.read()
    if request.path.endswith("/stream"):
        response = web.StreamResponse()
        response.enable_chunked_encoding()
        await response.prepare(request)
        for piece in (b'{"a"', b":1", b"}"):
            await response.write(piece)
            await asyncio.sleep(0)
        return response
    if request.path.endswith("/fail"):
        return web.json_response({"error": "no"}, status=500)
    return web.Response(body=body, headers={"X-Echo": request.headers.get("X-Request-Id", "none")})


@asynccontextmanager
async def server() -> AsyncIterator[int]:
    """Serve, and yield the port."""
    app = web.Application(client_max_size=64 * 2**20)
    app.router.add_route("*", "/{tail:.*}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()


class Sidecar:
    def __init__(self, config: CaptureConfig, process: asyncio.subprocess.Process) -> None:
        self.url = f"http://127.0.0.1:{config.listen_port}"
        self.told = f"http://127.0.0.1:{config.listen_port + 1}"
        self.process = process

    async def answers(self) -> bool:
        assert self.process.returncode is None, f"the sidecar ended with {self.process.returncode}"
        try:
            async with aiohttp.ClientSession() as session, session.get(f"{self.told}/healthz") as response:
                return response.status == 200
        except aiohttp.ClientConnectionError:
            return False

    async def end(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return await asyncio.wait_for(self.process.wait(), 40)

    async def counters(self) -> dict[str, int]:
        async with aiohttp.ClientSession() as session, session.get(f"{self.told}/metrics") as response:
            lines = [line.split() for line in (await response.text()).splitlines() if not line.startswith("#")]
        return {name.removeprefix("perennial_capture_").removesuffix("_total"): int(value) for name, value in lines}


@asynccontextmanager
async def sidecar(storage: Storage, uri: str, upstream: int, **options: Any) -> AsyncIterator[Sidecar]:
    settings = {"flush_seconds": 60, **options}
    # It serves its metrics on the port after the one it listens on.
    with reserved(2) as port:
        config = CaptureConfig(
            storage=storage,
            uri=uri,
            listen_port=port,
            upstream_port=upstream,
            namespace="demo",
            deployment="churn",
            revision="r1",
            digest=DIGEST,
            **settings,
        )
        async with running(config) as tap:
            yield tap


@asynccontextmanager
async def running(config: CaptureConfig) -> AsyncIterator[Sidecar]:
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT / "operator"),
        "PERENNIAL_CONFIG": config.model_dump_json(by_alias=True),
        "PERENNIAL_TERMINATION_LOG": "/dev/null",
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "perennial", "agent", "capture", env=environment
    )
    tap = Sidecar(config, process)
    try:
        await eventually(tap.answers, "the sidecar answers", 180, pause=0.05)
        yield tap
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def records(s3: S3Server, bucket: str) -> list[dict[str, Any]]:
    lines = [line for key in s3.keys(bucket) for line in gzip.decompress(s3.read(bucket, key)).splitlines()]
    return [json.loads(line) for line in lines]


async def test_what_was_asked_and_answered_is_written_and_the_bytes_are_untouched(s3: S3Server) -> None:
    bucket = s3.bucket()
    async with (
        server() as port,
        sidecar(s3.storage, f"s3://{bucket}/cap/", port) as tap,
        aiohttp.ClientSession() as session,
    ):
        for number in range(20):
            sent = json.dumps({"id": f"body-{number}", "inputs": [number]}).encode()
            headers = {"X-Request-Id": "mine"} if number == 0 else {}
            async with session.post(f"{tap.url}/v2/models/m/infer", data=sent, headers=headers) as response:
                assert await response.read() == sent
                assert response.headers["X-Echo"] == headers.get("X-Request-Id", "none")
        async with session.get(f"{tap.url}/v2/health/ready") as response:
            assert response.status == 200
        assert await tap.end() == 0

    (key,) = s3.keys(bucket)
    found = records(s3, bucket)
    assert key.startswith("cap/date=")
    assert "/hour=" in key
    assert [record["id"] for record in found] == [f"body-{number}" for number in range(20)]
    assert [record.get("requestId") for record in found] == ["mine", *[None] * 19]
    assert {record["path"] for record in found} == {"/v2/models/m/infer"}, "a health check is no prediction"
    first = found[0]
    assert (first["digest"], first["deployment"], first["status"]) == (DIGEST, "churn", 200)
    assert first["request"] == first["response"] == {"id": "body-0", "inputs": [0]}
    assert first["latencyMs"] > 0


async def test_streams_errors_and_large_bodies(s3: S3Server) -> None:
    bucket = s3.bucket()
    large = b'{"x":"' + b"y" * 3_000_000 + b'"}'
    async with (
        server() as port,
        sidecar(s3.storage, f"s3://{bucket}/cap/", port, max_body_bytes=100_000) as tap,
        aiohttp.ClientSession() as session,
    ):
        async with session.post(f"{tap.url}/stream", data=b"{}") as response:
            assert await response.read() == b'{"a":1}'
        async with session.post(f"{tap.url}/fail", data=b"{}") as response:
            assert response.status == 500
        async with session.post(f"{tap.url}/large", data=large) as response:
            assert await response.read() == large
        await tap.end()

    stream, failed, cut = records(s3, bucket)
    assert stream["response"] == {"a": 1}
    assert failed["status"] == 500
    assert cut["requestTruncated"] is cut["responseTruncated"] is True
    assert cut["request"] is None


async def test_storage_that_is_away_costs_records_never_predictions(s3: S3Server) -> None:
    away = Storage(endpoint="http://127.0.0.1:9", addressing="path")
    body = b'"' + b"z" * 20_000 + b'"'
    async with (
        server() as port,
        sidecar(away, "s3://abc/cap/", port, flush_seconds=0.2, max_buffer_bytes=200_000) as tap,
        aiohttp.ClientSession() as session,
    ):
        for _ in range(30):
            async with session.post(f"{tap.url}/infer", data=body) as response:
                assert await response.read() == body
        counters = await tap.counters()

    assert counters["captured"] + counters["dropped"] == 30
    assert counters["dropped"] > 0
    assert counters["captured"] * 40_000 <= 200_000
    assert counters["written"] == 0


async def test_a_server_that_is_down_is_told_to_the_client_at_once(s3: S3Server) -> None:
    bucket = s3.bucket()
    with reserved() as nobody:
        async with (
            sidecar(s3.storage, f"s3://{bucket}/cap/", nobody) as tap,
            aiohttp.ClientSession() as session,
            session.post(f"{tap.url}/infer", data=b"{}") as response,
        ):
            assert response.status == 502
            assert "does not answer" in (await response.json())["error"]
            assert (await tap.counters())["dropped"] == 1


async def test_another_protocol_passes_through_unread(s3: S3Server) -> None:
    async def shout(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write((await reader.read(100)).upper())
        await writer.drain()
        writer.close()

    tcp = await asyncio.start_server(shout, "127.0.0.1", 0)
    port = tcp.sockets[0].getsockname()[1]
    async with tcp, sidecar(s3.storage, f"s3://{s3.bucket()}/cap/", port) as tap:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(tap.url.rsplit(":", 1)[1]))
        writer.write(b"\x00not http at all")
        assert await reader.read(100) == b"\x00NOT HTTP AT ALL"
        writer.close()
        assert (await tap.counters())["dropped"] >= 1


async def test_requests_sent_ahead_are_paired_in_order(s3: S3Server) -> None:
    bucket = s3.bucket()
    async with server() as port, sidecar(s3.storage, f"s3://{bucket}/cap/", port) as tap:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(tap.url.rsplit(":", 1)[1]))
        for number in range(5):
            body = json.dumps({"n": number}).encode()
            writer.write(b"POST /infer HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        received = b""
        while received.count(b"HTTP/1.1 200") < 5 or not received.endswith(b'{"n": 4}'):
            received += await asyncio.wait_for(reader.read(65536), 5)
        writer.close()
        await tap.end()

    assert [(record["request"]["n"], record["response"]["n"]) for record in records(s3, bucket)] == [
        (n, n) for n in range(5)
    ]


@pytest.mark.parametrize("share", [0.0, 0.5])
async def test_a_sample_is_a_share(s3: S3Server, share: float) -> None:
    bucket = s3.bucket()
    async with (
        server() as port,
        sidecar(s3.storage, f"s3://{bucket}/cap/", port, sample=share) as tap,
        aiohttp.ClientSession() as session,
    ):
        for _ in range(200):
            async with session.post(f"{tap.url}/infer", data=b"{}") as response:
                assert response.status == 200
        await tap.end()

    found = len(records(s3, bucket))
    assert found == 0 if share == 0 else 60 < found < 140


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="reads the loaded libraries from Linux's /proc")
@pytest.mark.parametrize(("form", "loaded"), [("Parquet", True), ("JsonLines", False)])
async def test_the_encoder_is_loaded_before_the_first_request(s3: S3Server, form: str, loaded: bool) -> None:
    async with server() as port, sidecar(s3.storage, f"s3://{s3.bucket()}/cap/", port, format=form) as tap:
        libraries = await asyncio.to_thread(Path(f"/proc/{tap.process.pid}/maps").read_text)

    assert ("polars" in libraries) is loaded


async def test_parquet_without_what_must_not_be_kept(s3: S3Server, tmp_path: Path) -> None:
    bucket = s3.bucket()
    async with (
        server() as port,
        sidecar(s3.storage, f"s3://{bucket}/cap/", port, format="Parquet", redact=("ssn",)) as tap,
        aiohttp.ClientSession() as session,
    ):
        sent = b'{"id":"a","ssn":"123-45","x":1}'
        async with session.post(f"{tap.url}/predict?ssn=123-45", data=sent) as response:
            assert await response.read() == sent, "what is asked and answered is untouched"
        assert await tap.end() == 0

    (key,) = s3.keys(bucket)
    assert key.endswith(".parquet")
    path = tmp_path / "found.parquet"
    path.write_bytes(s3.read(bucket, key))
    (record,) = (json.loads(line) for line in parquet_lines(path))
    assert record["request"] == record["response"] == {"id": "a", "x": 1}
    assert record["path"] == "/predict"
