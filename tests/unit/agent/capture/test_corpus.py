"""Connections of tests/corpus/headers through the real sidecar: forwarded unchanged, captured under the right id."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.agent.capture.test_capture import records, server, sidecar
from tests.unit.agent.conftest import S3Server

CASES = yaml.safe_load((Path(__file__).resolve().parents[3] / "corpus" / "headers" / "cases.yaml").read_text())
_PATIENCE = 20


def messages(case: Any) -> list[bytes]:
    """What is sent before each answer."""
    groups = case["send"] if isinstance(case["send"][0], list) else [case["send"]]
    texts = ["\r\n".join(lines).replace("LONG", "x" * case.get("long", 0)) for lines in groups]
    return [text.encode() for text in texts]


async def talk(port: int, case: Any) -> list[int]:
    """Send each message, wait for its answer, and return the statuses."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    statuses = []
    for message in messages(case):
        writer.write(message)
        statuses.append(await status_of(reader, has_body=not message.startswith(b"HEAD")))
    writer.close()
    return statuses


async def status_of(reader: asyncio.StreamReader, *, has_body: bool) -> int:
    head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), _PATIENCE)).decode()
    status = int(head.split()[1])
    lengths = [int(line.split(":")[1]) for line in head.splitlines() if line.lower().startswith("content-length:")]
    if has_body and lengths:
        await asyncio.wait_for(reader.readexactly(lengths[0]), _PATIENCE)
    return status


async def test_every_connection_is_answered_and_captured_as_its_case_says(s3: S3Server) -> None:
    bucket = s3.bucket()
    wrong: list[str] = []
    expected: list[str] = []
    async with server() as upstream, sidecar(s3.storage, f"s3://{bucket}/cap/", upstream) as tap:
        for case in CASES:
            found = await talk(int(tap.url.rsplit(":", 1)[1]), case)
            expected += case["ids"]
            if found != case["answers"]:
                wrong.append(f"{case['about']}: {found}")
        await tap.end()
    assert wrong == []
    captured = [record["id"] for record in records(s3, bucket)]
    assert len(captured) == len(expected)
    known = [item for item in captured if item in expected]
    assert known == [item for item in expected if item != "any"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case["about"]))
def test_a_case_of_the_corpus_has_a_true_content_length(case: Any) -> None:
    """Otherwise the case would test something else than it says."""
    for message in messages(case):
        head, _, body = message.partition(b"\r\n\r\n")
        told = [line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
        if told and b"Expect" not in head:
            assert int(told[0].split(b":")[1]) == len(body)
