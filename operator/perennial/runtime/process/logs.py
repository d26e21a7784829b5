"""Logging as JSON lines or plain text, with the key of the resource that is being reconciled."""

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import TextIO

from perennial.core.kinds import Key

_object: ContextVar[Key | None] = ContextVar("perennial_object", default=None)

_NOISY = {
    # kopf logs every event, and retries at too high a level.
    "kopf": logging.WARNING,
    "asyncio": logging.WARNING,
    "aiohttp": logging.WARNING,
}

_RATE_LIMIT_SECONDS = 10.0


@contextmanager
def about(key: Key) -> Iterator[None]:
    """Add the key to all lines that are logged inside."""
    token = _object.set(key)
    try:
        yield
    finally:
        _object.reset(token)


class _RateLimit(logging.Filter):
    """Limits the rate of messages about an unavailable API server, which every watch repeats."""

    def __init__(self) -> None:
        super().__init__()
        self._next = 0.0

    def filter(self, record: logging.LogRecord) -> bool:
        if "will retry" not in str(record.msg):
            return True
        if record.created < self._next:
            return False
        self._next = record.created + _RATE_LIMIT_SECONDS
        record.levelno, record.levelname = logging.WARNING, "WARNING"
        return True


class JsonFormatter(logging.Formatter):
    """One JSON object per line: time, level, logger, message, object, and error with its traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """Format one line."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        key = _object.get()
        if key is not None:
            line["object"] = str(key)
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


class TextFormatter(logging.Formatter):
    """Plain text, with the key in front of the message."""

    def __init__(self) -> None:
        """Set the layout."""
        super().__init__("%(asctime)s %(levelname)-7s %(subject)s%(message)s", "%H:%M:%S")

    def format(self, record: logging.LogRecord) -> str:
        """Format one line."""
        key = _object.get()
        record.subject = f"{key}: " if key is not None else ""
        return super().format(record)


def configure(level: str, style: str, stream: TextIO | None = None) -> None:
    """Send all logging of the process to one stream (stderr by default)."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.addFilter(_RateLimit())
    handler.setFormatter(JsonFormatter() if style == "json" else TextFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.captureWarnings(capture=True)
    for name, least in _NOISY.items():
        logging.getLogger(name).setLevel(max(least, logging.getLevelName(level.upper())))
