"""Readings of the namespace that all pages share: at most one every two seconds, however many pages are open."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Lock

from pydantic import ValidationError

from perennial.cli.errors import CliError
from perennial.cli.snapshot import Snapshot

_EVERY = timedelta(seconds=2)


@dataclass(frozen=True)
class Seen:
    """The newest good reading, and why the newest attempt failed if it did."""

    snapshot: Snapshot | None
    read: datetime | None = None
    tried: datetime | None = None
    error: str = ""


class Source:
    """Reads when asked and the last attempt is older than two seconds. Safe for several threads."""

    def __init__(self, read: Callable[[], Snapshot], now: Callable[[], datetime]) -> None:
        """Read by `read`; the first reading happens on first use."""
        self._read = read
        self._now = now
        self._lock = Lock()
        self._seen = Seen(None)

    def seen(self) -> Seen:
        """The present reading. A failure keeps the last good one and says why."""
        with self._lock:
            now, before = self._now(), self._seen
            if before.tried is None or now - before.tried >= _EVERY:
                self._seen = self._attempt(now)
            return self._seen

    def _attempt(self, now: datetime) -> Seen:
        before = self._seen
        try:
            # The reading may take long; what it shows is at least as new as its beginning.
            return Seen(self._read(), read=now, tried=now)
        except CliError as error:
            text = str(error)
        except (ValidationError, ValueError) as error:
            text = f"the API server's answer cannot be understood: {str(error).splitlines()[0]}"
        return Seen(before.snapshot, read=before.read, tried=self._now(), error=text.rstrip("."))
