"""Progress in the log: how much, how fast, how long still."""

import logging
import time
from threading import Lock

log = logging.getLogger(__name__)

_EVERY = 2.0


class Progress:
    """Counts files and bytes of one transfer; safe for several threads."""

    def __init__(self, what: str, files: int, size: int) -> None:
        """Start the clock."""
        self._what, self._files, self._size = what, files, size
        self._done_files = self._done_bytes = 0
        self._start = self._said = time.monotonic()
        self._lock = Lock()

    def advance(self, size: int) -> None:
        """Count bytes, also within a file: one large model must not look like a standstill."""
        with self._lock:
            self._done_bytes += size
            self._say()

    def file_done(self) -> None:
        """Count one file."""
        with self._lock:
            self._done_files += 1
            self._say()

    def _say(self) -> None:
        """Say how far it is, not more often than every two seconds, and once at the end."""
        now = time.monotonic()
        if now - self._said < _EVERY and self._done_files < self._files:
            return
        self._said = now
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
