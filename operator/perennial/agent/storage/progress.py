"""Logs the progress of a transfer: amount, rate and estimated time left."""

import logging
import time
from threading import Lock

log = logging.getLogger(__name__)

_EVERY = 2.0


class Progress:
    """Progress of one transfer. Thread-safe."""

    def __init__(self, what: str, files: int, size: int) -> None:
        """Start the clock; `size` is the total in bytes."""
        self._what, self._files, self._size = what, files, size
        self._done_files = self._done_bytes = 0
        self._start = self._logged = time.monotonic()
        self._lock = Lock()

    def advance(self, size: int) -> None:
        """Count bytes as they arrive, so that a single large file shows progress."""
        with self._lock:
            self._done_bytes += size
            self._log()

    def file_done(self) -> None:
        """Count one completed file."""
        with self._lock:
            self._done_files += 1
            self._log()

    def _log(self) -> None:
        """Log at most every two seconds, and once at the end."""
        now = time.monotonic()
        if now - self._logged < _EVERY and self._done_files < self._files:
            return
        self._logged = now
        seconds = max(now - self._start, 1e-6)
        rate = self._done_bytes / seconds
        left = max(0.0, (self._size - self._done_bytes) / rate) if rate else 0.0
        log.info(
            "%s: %d of %d files, %.1f of %.1f MB, %.1f MB/s, %.0f s left",
            self._what,
            self._done_files,
            self._files,
            self._done_bytes / 1e6,
            self._size / 1e6,
            rate / 1e6,
            left,
        )
