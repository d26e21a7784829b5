"""Serves training progress and warnings about the output to the operator at `GET :9464/progress`.

File and clients are untrusted: reads are bounded, and a slow client is disconnected after two seconds.
"""

import json
import logging
import os
import socket
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from perennial.agent.publish.output import metrics_of
from perennial.agent.text import clipped
from perennial.api.contract.commands import PROGRESS_FILE, PROGRESS_PATH, PROGRESS_PORT
from perennial.api.contract.messages import (
    MAX_BYTES,
    MOST_PROGRESS_METRICS,
    MOST_WARNINGS,
    CheckpointState,
    TrainingProgress,
)

log = logging.getLogger(__name__)

_LIMIT = 65_536
_CLIENT_SECONDS = 2.0


class ProgressReader:
    """Reads the current progress; estimates the time left from the rate since the first read."""

    def __init__(
        self,
        path: Path,
        clock: Callable[[], float] = time.monotonic,
        warnings: Callable[[], tuple[str, ...]] = lambda: (),
        checkpoint: Callable[[], CheckpointState | None] = lambda: None,
    ) -> None:
        """Read from a file that may be missing or invalid at any time; `warnings` and `checkpoint` are told beside."""
        self._path = path
        self._warnings, self._checkpoint = warnings, checkpoint
        self._clock = clock
        self._first: tuple[float, int] | None = None

    def read(self) -> TrainingProgress:
        """Return the progress, with no step if the file is missing or invalid, and the warnings."""
        warnings = tuple(clipped(text) for text in self._warnings()[:MOST_WARNINGS])
        told = {"warnings": warnings, "checkpoint": self._checkpoint()}
        return (self._progress() or TrainingProgress()).model_copy(update=told)

    def _progress(self) -> TrainingProgress | None:
        try:
            document = json.loads(_bytes_of(self._path))
            metrics = metrics_of(document.get("metrics") or {})
            kept = dict(list(metrics.items())[:MOST_PROGRESS_METRICS])
            found = TrainingProgress.model_validate(
                {"step": document.get("step"), "total": document.get("total"), "eta": document.get("eta")}
            )
        except (OSError, ValueError, AttributeError, RecursionError, ValidationError):
            return None
        if found.step is None:
            return None
        return found.model_copy(
            update={"metrics": kept, "eta": found.eta if found.eta is not None else self._eta(found)}
        )

    def _eta(self, found: TrainingProgress) -> int | None:
        """Estimate the seconds until the last step; None until the rate is known."""
        now, step = self._clock(), found.step
        if step is None:
            return None
        if self._first is None or step < self._first[1]:
            self._first = (now, step)
        since, done = now - self._first[0], step - self._first[1]
        if found.total is None or done <= 0 or since <= 0:
            return None
        return max(round((found.total - step) * since / done), 0)


def _bytes_of(path: Path) -> bytes:
    """Read a small regular file without blocking on a pipe or following a link.

    Raises:
        OSError: it cannot be read.
        ValueError: it is not a regular file, or too large.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError("not a regular file")
        data = file.read(_LIMIT + 1)
    if len(data) > _LIMIT:
        raise ValueError("too large")
    return data


@contextmanager
def progress_server(
    root: Path,
    port: int = PROGRESS_PORT,
    warnings: Callable[[], tuple[str, ...]] = lambda: (),
    checkpoint: Callable[[], CheckpointState | None] = lambda: None,
) -> Iterator[int | None]:
    """Serve progress, warnings and the state of checkpoints until the context ends.

    Yields the port, or None if it cannot be bound.

    The training code shares the pod's network and may use the port itself. Then progress is not available.
    """
    progress = ProgressReader(root / Path(PROGRESS_FILE).name, warnings=warnings, checkpoint=checkpoint)
    try:
        server = _Server(port, progress)
    except OSError as error:
        log.warning("progress is not available: cannot listen on port %d: %s", port, error)
        yield None
        return
    # Polled every 0.1 s for shutdown, since publishing waits for it.
    thread = threading.Thread(target=server.serve_forever, args=(0.1,), name="progress", daemon=True)
    thread.start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()


class _Server(HTTPServer):
    address_family = socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET
    request_queue_size = 8

    def __init__(self, port: int, progress: ProgressReader) -> None:
        self.progress = progress
        super().__init__(("", port), _Handler)

    def server_bind(self) -> None:
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore clients that disconnect."""


def _body(found: TrainingProgress) -> bytes:
    """Render the response; long metrics give way to the warnings."""
    whole, short = found, found.model_copy(update={"metrics": {}})
    texts = (item.model_dump_json(by_alias=True, exclude_none=True).encode() for item in (whole, short))
    return next((text for text in texts if len(text) <= MAX_BYTES), b"")


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = _CLIENT_SECONDS

    def do_GET(self) -> None:
        """Respond with progress as JSON, or 404 on another path."""
        body = _body(self.server.progress.read()) if self.path == PROGRESS_PATH else b""
        fits = 0 < len(body) <= MAX_BYTES
        self.send_response(HTTPStatus.OK if fits else HTTPStatus.NOT_FOUND)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body) if fits else 0))
        self.end_headers()
        if fits:
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Log no requests: the operator sends one every fifteen seconds."""
