"""Requests and answers are paired rightly, whatever order they come in, and hold no more memory than they may."""

import json
import threading
from typing import Any

import pytest

from perennial.agent.capture.exchange import Budget, Exchange, line
from perennial.agent.capture.parser import ExchangeParser
from perennial.agent.capture.recorder import Recorder
from perennial.agent.storage.errors import AgentError
from perennial.api.contract.commands import CaptureConfig
from perennial.core.failures import ENDPOINT_UNREACHABLE

CONFIG = CaptureConfig(
    uri="s3://bucket/cap/",
    listen_port=1024,
    upstream_port=1025,
    namespace="demo",
    deployment="churn",
    revision="r1",
    digest="sha256:" + "d" * 64,
    flush_seconds=60,
)


class Kept:
    def __init__(self, limit: int = 10**6) -> None:
        self.budget = Budget(limit)
        self.limit = limit
        self.exchanges: list[Exchange] = []
        self.losses = 0

    def wanted(self, method: str) -> bool:
        return method == "POST"

    def take(self, exchange: Exchange) -> None:
        self.exchanges.append(exchange)

    def lost(self) -> None:
        self.losses += 1

    @property
    def all_given_back(self) -> bool:
        return self.budget.take(self.limit)

    @property
    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line(exchange, CONFIG)) for exchange in self.exchanges]


def ask(body: bytes, method: bytes = b"POST") -> bytes:
    return b"%s /infer HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (method, len(body), body)


def reply(body: bytes, status: bytes = b"200 OK") -> bytes:
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body)


def test_an_answer_before_the_request_is_whole_does_not_shift_the_pairs() -> None:
    kept = Kept()
    parser = ExchangeParser(1000, kept)
    first = ask(b'{"n":1}')

    parser.from_client(first[:-3])
    parser.from_server(reply(b'{"too":"large"}', b"413 Too Large"))
    parser.from_client(first[-3:])
    parser.from_client(ask(b'{"n":2}'))
    parser.from_server(reply(b'{"a":2}'))

    assert [(record["request"], record["response"]) for record in kept.records] == [({"n": 2}, {"a": 2})]
    assert kept.losses == 1


def test_an_interim_answer_is_not_the_answer() -> None:
    kept = Kept()
    parser = ExchangeParser(1000, kept)

    parser.from_client(ask(b"{}"))
    parser.from_server(b"HTTP/1.1 100 Continue\r\n\r\n")
    parser.from_server(reply(b'{"a":1}'))

    assert [(record["status"], record["response"]) for record in kept.records] == [(200, {"a": 1})]


HEAD = ask(b"", b"HEAD")
JAVA = (
    b"Connection: Upgrade, HTTP2-Settings\r\n"
    b"HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA\r\n"
    b"Upgrade: h2c\r\n"
)
"""What Java's HTTP client sends with the first request of a connection."""


def pairs(kept: Kept) -> list[tuple[Any, Any]]:
    return [(record["request"], record["response"]) for record in kept.records]


@pytest.mark.parametrize(
    "headers",
    [
        b"Content-Length: 7\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"",
        b"Content-Length: 0\r\n",
        b"Content-Type: application/json\r\nContent-Length: 100000\r\n",
    ],
)
@pytest.mark.parametrize("piece", [1, 5, 100_000])
@pytest.mark.parametrize("ahead", [False, True], ids=["in turn", "pipelined"])
def test_requests_after_head_are_captured(headers: bytes, piece: int, ahead: bool) -> None:
    kept = Kept()
    parser = ExchangeParser(1000, kept)
    turns = [
        (ask(b'{"n":0}'), reply(b'{"a":0}')),
        (HEAD, b"HTTP/1.1 200 OK\r\n" + headers + b"\r\n"),
        (HEAD, b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 Not Found\r\n" + headers + b"\r\n"),
        (ask(b'{"n":1}'), reply(b'{"a":1}')),
        (ask(b'{"n":2}'), reply(b'{"a":2}')),
    ]
    if ahead:
        turns = [(b"".join(asked for asked, _ in turns), b"".join(answered for _, answered in turns))]

    for asked, answered in turns:
        for at in range(0, len(asked), piece):
            parser.from_client(asked[at : at + piece])
        for at in range(0, len(answered), piece):
            parser.from_server(answered[at : at + piece])

    assert pairs(kept) == [({"n": n}, {"a": n}) for n in range(3)]
    assert (kept.losses, parser.idle) == (0, True)


@pytest.mark.parametrize("piece", [1, 7, 100_000])
@pytest.mark.parametrize(
    "body",
    [b'Content-Length: 7\r\n\r\n{"n":1}', b'Transfer-Encoding: chunked\r\n\r\n3\r\n{"n\r\n4\r\n":1}\r\n0\r\n\r\n'],
    ids=["length", "chunked"],
)
def test_an_offer_to_upgrade_that_the_server_ignores_changes_nothing(body: bytes, piece: int) -> None:
    kept = Kept()
    parser = ExchangeParser(1000, kept)
    offer = b"POST /infer HTTP/1.1\r\nHost: x\r\nX-Request-Id: r\r\n" + JAVA + body
    # Also with an offer that has no body, and with the next request in the same chunk.
    bare = b"GET /health HTTP/1.1\r\nHost: x\r\n" + JAVA + b"\r\n"

    for asked, answered in ((offer, reply(b'{"a":1}')), (bare + offer, reply(b"ok") + reply(b'{"a":1}'))) * 2:
        for at in range(0, len(asked), piece):
            parser.from_client(asked[at : at + piece])
        parser.from_server(answered)

    assert pairs(kept) == [({"n": 1}, {"a": 1})] * 4
    assert {(record["method"], record["path"], record["requestId"]) for record in kept.records} == {
        ("POST", "/infer", "r")
    }
    assert (kept.losses, parser.idle) == (0, True)


@pytest.mark.parametrize("method", [b"GET", b"POST"])
def test_a_server_that_switches_protocols_counts_as_a_loss(method: bytes) -> None:
    kept = Kept()
    parser = ExchangeParser(1000, kept)

    parser.from_client(method + b" /infer HTTP/1.1\r\nHost: x\r\n" + JAVA + b"Content-Length: 7\r\n\r\n" + b'{"n":1}')
    parser.from_server(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n\x00\x00")
    parser.from_client(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    parser.from_server(b"\x00\x00")

    assert (kept.records, kept.losses, kept.all_given_back) == ([], 1, True)


def test_a_connection_that_is_never_http_counts_as_a_loss() -> None:
    kept = Kept()
    parser = ExchangeParser(1000, kept)

    parser.from_client(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    parser.from_client(b"\x00\x00")

    assert kept.losses == 1


def test_each_request_after_an_unreadable_response_counts_as_a_loss() -> None:
    kept = Kept()
    parser = ExchangeParser(1000, kept)

    parser.from_client(ask(b'{"n":1}') + ask(b'{"n":2}'))
    parser.from_server(b"no http\r\n\r\n")
    for _ in range(3):
        parser.from_client(ask(b'{"n":3}') + ask(b"", b"GET"))
        parser.from_server(reply(b'{"a":1}') + reply(b""))

    assert (kept.records, kept.losses, kept.all_given_back) == ([], 5, True)


def test_too_many_requests_ahead_count_as_losses() -> None:
    kept = Kept()
    parser = ExchangeParser(1000, kept)

    for _ in range(200):
        parser.from_client(ask(b"{}"))

    assert (kept.losses, kept.all_given_back) == (200, True)


@pytest.mark.parametrize("piece", [1, 7, 1000])
def test_pieces_of_any_size_give_the_same(piece: int) -> None:
    kept = Kept()
    parser = ExchangeParser(1000, kept)
    asked, answered = ask(b'{"id":"i","n":1}'), b'HTTP/1.1 200 OK\r\n\r\n{"open":"end"}'

    for at in range(0, len(asked), piece):
        parser.from_client(asked[at : at + piece])
    for at in range(0, len(answered), piece):
        parser.from_server(answered[at : at + piece])
    parser.server_ended()

    (record,) = kept.records
    assert (record["id"], record["path"], record["response"]) == ("i", "/infer", {"open": "end"})


def test_bodies_under_way_count_and_are_given_back() -> None:
    kept = Kept(limit=3000)
    parsers = [ExchangeParser(10_000, kept) for _ in range(3)]

    for parser in parsers:
        parser.from_client(ask(b"1" * 1500))
    for parser in parsers:
        parser.from_server(reply(b"{}"))
        parser.stop()

    assert len(kept.exchanges) == 1
    assert kept.losses == 2
    for exchange in kept.exchanges:
        kept.budget.release(exchange.size)
    assert kept.all_given_back


def test_a_connection_that_ends_counts_what_it_had_asked() -> None:
    kept = Kept()
    parser = ExchangeParser(1000, kept)
    parser.from_client(ask(b"{}") * 3)

    parser.stop()

    assert (kept.losses, kept.all_given_back) == (3, True)


def test_storage_that_is_back_gets_what_waited() -> None:
    written: list[bytes] = []
    tried = threading.Event()

    def put(uri: str, data: bytes, content_type: str) -> None:
        if not tried.is_set():
            tried.set()
            raise AgentError(ENDPOINT_UNREACHABLE, "away")
        written.append(data)

    recorder = Recorder(CONFIG.model_copy(update={"flush_seconds": 0.01}), put)
    recorder.start()
    parser = ExchangeParser(1000, recorder)
    parser.from_client(ask(b"{}"))
    parser.from_server(reply(b"{}"))
    assert tried.wait(10)

    recorder.close(10)

    assert len(written) == 1
    assert (recorder.counters.written, recorder.counters.flush_errors, recorder.counters.dropped) == (1, 1, 0)
