"""Buffers exchanges in bounded memory and writes them to storage from a thread."""

import logging
import random
import socket
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from threading import Condition, Event, Thread

from perennial.agent.capture.exchange import Budget, Exchange, line
from perennial.agent.capture.hashed import hashing_of
from perennial.agent.records.files import CONTENT_TYPE, SUFFIX, Format, encoded
from perennial.agent.storage.client import join_uri
from perennial.agent.storage.errors import AgentError
from perennial.api.contract.commands import CaptureConfig

log = logging.getLogger(__name__)

BATCH_BYTES = 4 * 2**20
"""Buffered bytes at which a file is written before the flush interval ends; at most half of the buffer."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0
_CHUNK = 8
"""Records encoded before yielding the interpreter: short enough not to delay predictions noticeably."""
_YIELD_SECONDS = 0.001

Put = Callable[[str, bytes, str], None]


@dataclass
class Counters:
    """Totals since the start."""

    captured: int = 0
    written: int = 0
    dropped: int = 0
    flush_errors: int = 0


class Recorder:
    """Buffer and writer thread. `take` is called by the event loop and never waits for storage."""

    def __init__(self, config: CaptureConfig, put: Put) -> None:
        """Write through `put(uri, data, content type)`.

        Raises:
            AgentError: HashKeyInvalid, if the key of what is to be hashed is missing or too short.
        """
        self._config, self._put = config, put
        self._hashing = hashing_of(config)
        self._form: Format = config.format or "JsonLines"
        self._waiting: deque[Exchange] = deque()
        self._bytes = 0
        self._batch_bytes = min(BATCH_BYTES, config.max_buffer_bytes // 2)
        self._wake = Condition()
        self._closing = Event()
        self._deadline = 0.0
        self._number = 0
        self._name = f"{config.revision}-{socket.gethostname()}"[:120]
        self._thread = Thread(target=self._run, name="recorder", daemon=True)
        self.budget = Budget(config.max_buffer_bytes)
        self.counters = Counters()

    def start(self) -> None:
        """Start the writer thread."""
        self._thread.start()

    def wanted(self, method: str) -> bool:
        """Whether to record a request: a random sample of POST requests."""
        share = self._config.sample
        return method == "POST" and (share >= 1 or random.random() < share)  # noqa: S311 - sampling, not security

    def lost(self) -> None:
        """Count a dropped record."""
        self._drop(1)

    def take(self, exchange: Exchange) -> None:
        """Buffer an exchange until it is written."""
        with self._wake:
            self._waiting.append(exchange)
            self._bytes += exchange.size
            self.counters.captured += 1
            if self._bytes >= self._batch_bytes:
                self._wake.notify()

    def close(self, seconds: float) -> None:
        """Write the buffered records within `seconds`; the rest is counted as dropped."""
        self._deadline = time.monotonic() + seconds
        self._closing.set()
        with self._wake:
            self._wake.notify()
        self._thread.join(seconds)
        if self._thread.is_alive():
            left = self.counters.captured - self.counters.written - self.counters.dropped
            log.error("about %d records were not written before the exit and are lost", max(left, 0))

    def _drop(self, count: int) -> None:
        with self._wake:
            self.counters.dropped += count

    def _run(self) -> None:
        while True:
            batch, last = self._next()
            for hour, group in groupby(batch, key=_hour):
                exchanges = list(group)
                try:
                    self._write(hour, exchanges)
                except Exception:
                    # The thread must survive any record.
                    log.exception("%d records are lost", len(exchanges))
                    self._drop(len(exchanges))
                self.budget.release(sum(item.size for item in exchanges))
            if last:
                return

    def _next(self) -> tuple[list[Exchange], bool]:
        """Wait for the flush interval or size; return the buffered exchanges, and whether they are the last."""
        with self._wake:
            end = time.monotonic() + self._config.flush_seconds
            while (
                not self._closing.is_set() and self._bytes < self._batch_bytes and (left := end - time.monotonic()) > 0
            ):
                self._wake.wait(left)
            batch = list(self._waiting)
            self._waiting.clear()
            self._bytes = 0
            return batch, self._closing.is_set()

    def _write(self, hour: str, batch: Sequence[Exchange]) -> None:
        """Write one file, retrying while storage fails. The budget bounds what is buffered meanwhile."""
        lines = list(self._lines(batch))
        self._drop(len(batch) - len(lines))
        data = encoded(lines, self._form, self._yield_control)
        self._number += 1
        leaf = f"{self._name}-{self._number:06}-{uuid.uuid4().hex[:8]}{SUFFIX[self._form]}"
        uri = join_uri(self._config.uri, f"{hour}/{leaf}")
        if self._put_with_retry(uri, data):
            self.counters.written += len(lines)
            log.info("wrote %d records to %s", len(lines), uri)
        else:
            self._drop(len(lines))
            log.error("%d records were not written before the exit and are lost", len(lines))

    def _lines(self, batch: Sequence[Exchange]) -> Iterator[bytes]:
        for number, item in enumerate(batch):
            if number % _CHUNK == 0:
                self._yield_control()
            text = self._line(item)
            if text:
                yield text

    def _yield_control(self) -> None:
        """Yield the interpreter, so that predictions do not wait for the encoding of records.

        Not during shutdown, when there are no predictions, and not while the buffer is filling up.
        """
        if not self._closing.is_set() and self._bytes < self._batch_bytes:
            time.sleep(_YIELD_SECONDS)

    def _line(self, exchange: Exchange) -> bytes:
        try:
            return line(exchange, self._config, self._hashing)
        except (ValueError, RecursionError) as error:
            log.warning("cannot encode a record as JSON: %s", type(error).__name__)
            return b""

    def _put_with_retry(self, uri: str, data: bytes) -> bool:
        pause = _FIRST_PAUSE
        while True:
            try:
                self._put(uri, data, CONTENT_TYPE[self._form])
            except AgentError as error:
                self.counters.flush_errors += 1
                log.warning(
                    "cannot write captured records: %s: %s; %s", error.failure.reason, error, error.failure.next_step
                )
            else:
                return True
            # On shutdown a failing write is retried at once, and then until the deadline.
            if self._closing.is_set():
                if time.monotonic() + pause > self._deadline:
                    return False
                time.sleep(pause)
            elif self._closing.wait(pause):
                pause = _FIRST_PAUSE
                continue
            pause = min(pause * 2, _LONGEST_PAUSE)


def _hour(exchange: Exchange) -> str:
    """Return the partition of an exchange: the hour (UTC) in which its request was received."""
    return datetime.fromtimestamp(exchange.wall, UTC).strftime("date=%Y-%m-%d/hour=%H")
