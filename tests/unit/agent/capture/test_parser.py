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


def test_after_head_it_no_longer_guesses_where_answers_end() -> None:
    kept = Kept()
    parser = ExchangeParser(1000, kept)

    parser.from_client(ask(b"", b"HEAD"))
    parser.from_server(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n")
    parser.from_client(ask(b'{"n":1}'))
    parser.from_server(reply(b'{"a":1}'))

    assert kept.records == []


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
