"""Gathers exchanges in bounded memory, and writes them to storage from a thread."""

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
from perennial.agent.records.files import CONTENT_TYPE, SUFFIX, Format, encoded
from perennial.agent.storage.client import join_uri
from perennial.agent.storage.errors import AgentError
from perennial.api.contract.commands import CaptureConfig

log = logging.getLogger(__name__)

BATCH_BYTES = 4 * 2**20
"""What is gathered is written when it reaches this, or half of the buffer, even before its time."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0
_PIECE = 8
"""Records that are made in one go: about as long as a prediction can wait for the interpreter without notice."""
_BREATH_SECONDS = 0.001

Put = Callable[[str, bytes, str], None]


@dataclass
class Counters:
    """What happened so far."""

    captured: int = 0
    written: int = 0
    dropped: int = 0
    flush_errors: int = 0


class Recorder:
    """The buffer and its writer. `take` is called by the event loop and never waits for storage."""

    def __init__(self, config: CaptureConfig, put: Put) -> None:
        """Write through `put(uri, data, content type)`."""
        self._config, self._put = config, put
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
        """Start writing."""
        self._thread.start()

    def wanted(self, method: str) -> bool:
        """Tell whether a request is to be recorded: predictions are POSTs, and a share of them may be enough."""
        share = self._config.sample
        return method == "POST" and (share >= 1 or random.random() < share)  # noqa: S311 - sampling, no secret

    def lost(self) -> None:
        """Count a record that could not be made."""
        self._drop(1)

    def take(self, exchange: Exchange) -> None:
        """Keep an exchange until it is written."""
        with self._wake:
            self._waiting.append(exchange)
            self._bytes += exchange.size
            self.counters.captured += 1
            if self._bytes >= self._batch_bytes:
                self._wake.notify()

    def close(self, seconds: float) -> None:
        """Write what is left, for at most so many seconds; count what could not be."""
        self._deadline = time.monotonic() + seconds
        self._closing.set()
        with self._wake:
            self._wake.notify()
        self._thread.join(seconds)
        if self._thread.is_alive():
            left = self.counters.captured - self.counters.written - self.counters.dropped
            log.error("about %d records could not be written before the end and are lost", max(left, 0))

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
                    # This thread has to outlive any record.
                    log.exception("%d records are lost", len(exchanges))
                    self._drop(len(exchanges))
                self.budget.give_back(sum(item.size for item in exchanges))
            if last:
                return

    def _next(self) -> tuple[list[Exchange], bool]:
        """Wait for the time or the size at which to write; return what is there, and whether it is the last."""
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
        """Write one file; try again while storage fails, since what comes meanwhile is bounded by the budget."""
        lines = list(self._lines(batch))
        self._drop(len(batch) - len(lines))
        data = encoded(lines, self._form, self._breathe)
        self._number += 1
        leaf = f"{self._name}-{self._number:06}-{uuid.uuid4().hex[:8]}{SUFFIX[self._form]}"
        uri = join_uri(self._config.uri, f"{hour}/{leaf}")
        if self._put_with_patience(uri, data):
            self.counters.written += len(lines)
            log.info("wrote %d records to %s", len(lines), uri)
        else:
            self._drop(len(lines))
            log.error("%d records could not be written before the end and are lost", len(lines))

    def _lines(self, batch: Sequence[Exchange]) -> Iterator[bytes]:
        for number, item in enumerate(batch):
            if number % _PIECE == 0:
                self._breathe()
            text = self._line(item)
            if text:
                yield text

    def _breathe(self) -> None:
        """Let go of the interpreter, so that no prediction waits for records.

        Not at the end, when no prediction is left to wait, nor when so much has come meanwhile that records would soon
        be lost.
        """
        if not self._closing.is_set() and self._bytes < self._batch_bytes:
            time.sleep(_BREATH_SECONDS)

    def _line(self, exchange: Exchange) -> bytes:
        try:
            return line(exchange, self._config)
        except (ValueError, RecursionError) as error:
            log.warning("a record cannot be written as JSON: %s", type(error).__name__)
            return b""

    def _put_with_patience(self, uri: str, data: bytes) -> bool:
        pause = _FIRST_PAUSE
        while True:
            try:
                self._put(uri, data, CONTENT_TYPE[self._form])
            except AgentError as error:
                self.counters.flush_errors += 1
                log.warning(
                    "capture cannot be written: %s: %s; %s", error.failure.reason, error, error.failure.next_step
                )
            else:
                return True
            # A write that failed while all was well is tried once more when the end comes, and then as time allows.
            if self._closing.is_set():
                if time.monotonic() + pause > self._deadline:
                    return False
                time.sleep(pause)
            elif self._closing.wait(pause):
                pause = _FIRST_PAUSE
                continue
            pause = min(pause * 2, _LONGEST_PAUSE)


def _hour(exchange: Exchange) -> str:
    """Return the folder of an exchange, by the hour (UTC) in which the request had come."""
    return datetime.fromtimestamp(exchange.wall, UTC).strftime("date=%Y-%m-%d/hour=%H")
