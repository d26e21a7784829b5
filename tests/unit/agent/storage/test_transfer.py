"""Downloads survive what networks and disks do, and never leave half a file under its name."""

import errno
import hashlib
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from perennial.agent.artifact.paths import safe_path
from perennial.agent.storage import transfer
from perennial.agent.storage.client import ObjectStore
from perennial.agent.storage.errors import AgentError, classify
from perennial.agent.storage.opening import open_storage
from perennial.api.common.pod import Storage
from tests.unit.agent.conftest import S3Server

BODY = os.urandom(3_000_000)
SHA = hashlib.sha256(BODY).hexdigest()


class Flaky:
    """What the proxy does: cut the first bodies after some bytes, or answer an error to the first requests."""

    def __init__(self, cuts: int = 0, after: int = 500_000, errors: int = 0, behind: int = 0) -> None:
        self.cuts, self.after, self.errors, self.behind = cuts, after, errors, behind
        self.ranges: list[str | None] = []
        self.lock = threading.Lock()

    def take(self, name: str) -> bool:
        with self.lock:
            left = getattr(self, name)
            setattr(self, name, max(0, left - 1))
            return bool(left)


@contextmanager
def proxy(s3: S3Server, flaky: Flaky) -> Iterator[Storage]:
    """A small HTTP proxy in front of the S3 server that breaks object reads as told."""
    host, port = s3.endpoint.removeprefix("http://").split(":")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            reads_object = "list-type" not in self.path
            if reads_object:
                flaky.ranges.append(self.headers.get("Range"))
            if reads_object and flaky.take("errors"):
                self.send_response(503)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            upstream = HTTPConnection(host, int(port))
            headers = {key: value for key, value in self.headers.items() if key.lower() != "connection"}
            upstream.request("GET", self.path, headers=headers)
            answer = upstream.getresponse()
            data = answer.read()
            self.send_response(answer.status)
            for key, value in answer.getheaders():
                if key.lower() not in {"transfer-encoding", "connection", "content-length"}:
                    self.send_header(key, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            start = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").split("-")[0])
            if reads_object and answer.status < 300 and start >= flaky.behind and flaky.take("cuts"):
                self.wfile.write(data[: flaky.after])
                self.wfile.flush()
                self.connection.shutdown(socket.SHUT_RDWR)
                self.close_connection = True
                return
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: Any) -> None:
            pass

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        # The signature covers the host header, which is passed on as the client wrote it.
        yield Storage(endpoint=f"http://127.0.0.1:{server.server_address[1]}", addressing="path")
        server.shutdown()


@pytest.fixture
def uri(s3: S3Server) -> str:
    bucket = s3.bucket()
    s3.put(bucket, {"big.bin": BODY})
    return f"s3://{bucket}/big.bin"


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "_FIRST_PAUSE", 0.001)


def test_a_stream_that_breaks_off_is_read_on_from_there(s3: S3Server, uri: str, tmp_path: Path) -> None:
    flaky = Flaky(cuts=2, after=700_000)
    with proxy(s3, flaky) as storage:
        digest = open_storage(storage).download(uri, tmp_path / "f")

    assert digest == SHA
    assert (tmp_path / "f").read_bytes() == BODY
    assert flaky.ranges[0] is None
    starts = [int(str(item).removeprefix("bytes=").split("-")[0]) for item in flaky.ranges[1:]]
    assert starts == sorted(starts)
    assert starts[0] > 0, "what had come is not asked for again"


def test_errors_of_the_storage_are_tried_again(s3: S3Server, uri: str, tmp_path: Path) -> None:
    with proxy(s3, Flaky(errors=2)) as storage:
        assert open_storage(storage).download(uri, tmp_path / "f") == SHA


def test_a_storage_that_keeps_breaking_off_is_given_up_without_a_trace_under_the_name(
    s3: S3Server, uri: str, tmp_path: Path
) -> None:
    with (
        proxy(s3, Flaky(cuts=1000, after=1000)) as storage,
        pytest.raises(AgentError, match="interrupted 5 times") as caught,
    ):
        open_storage(storage).download(uri, tmp_path / "f")

    assert caught.value.failure.reason == "TransferFailed"
    assert caught.value.failure.retriable
    assert not (tmp_path / "f").exists()


def test_a_later_try_pulls_only_the_missing_ranges(
    s3: S3Server, uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "RANGE_BYTES", 500_000)
    monkeypatch.setattr(transfer, "_TRIES", 1)
    # With four readers the last of six ranges begins when two are on disk.
    with proxy(s3, Flaky(cuts=1, after=100, behind=2_500_000)) as storage, pytest.raises(AgentError):
        open_storage(storage).download(uri, tmp_path / "f")
    again = Flaky()
    with proxy(s3, again) as storage:
        assert open_storage(storage).download(uri, tmp_path / "f") == SHA

    assert 1 <= len(again.ranges) <= 4
    assert sorted(path.name for path in tmp_path.iterdir()) == ["f"]


def test_an_object_that_changed_between_two_tries_is_pulled_anew(
    s3: S3Server, store: ObjectStore, uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "RANGE_BYTES", 500_000)
    monkeypatch.setattr(transfer, "_TRIES", 1)
    with proxy(s3, Flaky(cuts=1, after=100)) as storage, pytest.raises(AgentError):
        open_storage(storage).download(uri, tmp_path / "f")
    other = os.urandom(len(BODY))
    bucket, key = uri.removeprefix("s3://").split("/", 1)
    s3.put(bucket, {key: other})

    assert store.download(uri, tmp_path / "f") == hashlib.sha256(other).hexdigest()


def test_a_full_disk_is_told_as_such(
    store: ObjectStore, uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(transfer.os, "pwrite", full)

    with pytest.raises(AgentError, match="disk full while writing") as caught:
        store.download(uri, tmp_path / "f")

    assert caught.value.failure.reason == "OutOfSpace"
    assert not (tmp_path / "f").exists()


def test_an_empty_object_is_an_empty_file(s3: S3Server, store: ObjectStore, tmp_path: Path) -> None:
    bucket = s3.bucket()
    s3.put(bucket, {"empty": b""})

    assert store.download(f"s3://{bucket}/empty", tmp_path / "e") == hashlib.sha256(b"").hexdigest()
    assert (tmp_path / "e").read_bytes() == b""


@pytest.mark.parametrize(
    "name",
    [
        "../x",
        "a/../../x",
        "/etc/passwd",
        "a//b",
        "a/./b",
        "..",
        "a\\..\\b",
        "a\0b",
        "a\nb",
        "C:/x",
        "a/" + "x" * 256,
        "",
    ],
)
def test_a_name_that_would_leave_its_folder_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(AgentError) as caught:
        safe_path(tmp_path, name, "s3://bucket/a/")

    assert caught.value.failure.reason == "UnsafePath"


def test_a_link_in_the_way_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "data").symlink_to("/tmp")

    with pytest.raises(AgentError, match="link"):
        safe_path(tmp_path, "data/x", "s3://bucket/a/")


def test_an_error_that_nobody_foresaw_says_its_name() -> None:
    error = classify(RuntimeError("odd"), "s3://b/k")

    assert error.failure.reason == "AgentCrashed"
    assert "RuntimeError while accessing s3://b/k: odd" in str(error)
