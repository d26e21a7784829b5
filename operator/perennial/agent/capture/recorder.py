"""Gathers exchanges in bounded memory, and writes them to storage from a thread."""

import gzip
import logging
import random
import socket
import time
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from threading import Condition, Thread

from perennial.agent.capture.exchange import Exchange, Message, line
from perennial.agent.errors import AgentError
from perennial.agent.storage import join_uri
from perennial.api.agent import CaptureConfig

log = logging.getLogger(__name__)

BATCH_BYTES = 4 * 2**20
"""What is gathered is written when it reaches this, even before its time."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0

Put = Callable[[str, bytes, str], None]


@dataclass
class Counters:
    """What happened so far."""

    captured: int = 0
    written: int = 0
    dropped: int = 0
    failed_writes: int = 0


class Recorder:
    """The buffer and its writer. `take` is called by the event loop and never waits."""

    def __init__(self, config: CaptureConfig, put: Put) -> None:
        """Write through `put(uri, data, content type)`."""
        self._config, self._put = config, put
        self._waiting: deque[Exchange] = deque()
        self._bytes = 0
        self._wake = Condition()
        self._closing: float | None = None
        self._number = 0
        self._name = f"{config.revision}-{socket.gethostname()}"[:120]
        self._thread = Thread(target=self._run, name="recorder", daemon=True)
        self.counters = Counters()

    def start(self) -> None:
        """Start writing."""
        self._thread.start()

    def wanted(self, request: Message) -> bool:
        """Tell whether a request is to be recorded: predictions are POSTs, and a share of them may be enough."""
        share = self._config.sample
        return request.method == "POST" and (share >= 1 or random.random() < share)  # noqa: S311 - sampling, no secret

    def lost(self) -> None:
        """Count a record that could not be made."""
        self.counters.dropped += 1

    def take(self, exchange: Exchange) -> None:
        """Keep an exchange until it is written; without room for it, count it as dropped."""
        with self._wake:
            if self._bytes + exchange.size > self._config.max_buffer_bytes or self._closing is not None:
                self.counters.dropped += 1
                return
            self._waiting.append(exchange)
            self._bytes += exchange.size
            self.counters.captured += 1
            if self._bytes >= BATCH_BYTES:
                self._wake.notify()

    def close(self, seconds: float) -> None:
        """Write what is left, for at most so many seconds."""
        with self._wake:
            self._closing = time.monotonic() + seconds
            self._wake.notify()
        self._thread.join(seconds + 1)

    def _run(self) -> None:
        while True:
            batch, last = self._next()
            for hour, group in groupby(
                batch, key=lambda item: datetime.fromtimestamp(item.wall, UTC).strftime("%Y%m%d%H")
            ):
                self._write(hour, list(group))
            if last:
                return

    def _next(self) -> tuple[list[Exchange], bool]:
        """Wait for the time or the size at which to write; return what is there, and whether it is the last."""
        with self._wake:
            end = time.monotonic() + self._config.flush_seconds
            while self._closing is None and self._bytes < BATCH_BYTES and (left := end - time.monotonic()) > 0:
                self._wake.wait(left)
            batch = list(self._waiting)
            self._waiting.clear()
            # The batch still takes memory while it is written, so its bytes count until then.
            return batch, self._closing is not None

    def _write(self, hour: str, batch: list[Exchange]) -> None:
        """Write one file; try again while storage fails, since what comes meanwhile is bounded by the buffer."""
        data = gzip.compress(b"".join(line(item, self._config) for item in batch), compresslevel=1)
        self._number += 1
        day = f"{hour[:4]}-{hour[4:6]}-{hour[6:8]}"
        leaf = f"{self._name}-{self._number:06}-{uuid.uuid4().hex[:8]}.jsonl.gz"
        uri = join_uri(self._config.uri, f"date={day}/hour={hour[8:]}/{leaf}")
        written = self._put_with_patience(uri, data)
        with self._wake:
            self._bytes -= sum(item.size for item in batch)
        if written:
            self.counters.written += len(batch)
            log.info("wrote %d records to %s", len(batch), uri)
        else:
            self.counters.dropped += len(batch)
            log.error("%d records could not be written before the end and are lost", len(batch))

    def _put_with_patience(self, uri: str, data: bytes) -> bool:
        pause = _FIRST_PAUSE
        while True:
            try:
                self._put(uri, data, "application/gzip")
            except AgentError as error:
                self.counters.failed_writes += 1
                log.warning(
                    "capture cannot be written: %s: %s; %s", error.failure.reason, error, error.failure.next_step
                )
            else:
                return True
            with self._wake:
                if self._closing is not None and time.monotonic() + pause > self._closing:
                    return False
                self._wake.wait(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)
