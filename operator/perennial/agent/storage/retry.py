"""Retry with exponential backoff while storage is unavailable."""

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from perennial.agent.storage.errors import AgentError

log = logging.getLogger(__name__)

_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 15.0

_Result = TypeVar("_Result")


class Retry:
    """Retries operations that fail with a retriable error, until none has succeeded for some time."""

    def __init__(self, seconds: float) -> None:
        """Give up after `seconds` without a success of any operation."""
        self._seconds = seconds
        self._last_success = time.monotonic()

    def __call__(self, work: Callable[[], _Result]) -> _Result:
        """Run an operation and return its result.

        Raises:
            AgentError: the error is not retriable, or the time is up.
        """
        pause = _FIRST_PAUSE
        while True:
            try:
                result = work()
            except AgentError as error:
                silent = time.monotonic() - self._last_success
                if not error.failure.retriable or silent + pause > self._seconds:
                    raise
                log.warning("%s; retrying in %.1f s", error.message, pause)
                time.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)
            else:
                self._last_success = time.monotonic()
                return result
