"""Waiting for storage that is away for a while, where giving up would cost more than waiting."""

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from perennial.agent.storage.errors import AgentError

log = logging.getLogger(__name__)

_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 15.0

_Result = TypeVar("_Result")


class Patience:
    """Tries work again while its failures may pass, until nothing has succeeded for some time."""

    def __init__(self, seconds: float) -> None:
        """Give up after so many seconds without a success."""
        self._seconds = seconds
        self._last_success = time.monotonic()

    def __call__(self, work: Callable[[], _Result]) -> _Result:
        """Return the result of the work.

        Raises:
            AgentError: it failed for good, or for too long.
        """
        pause = _FIRST_PAUSE
        while True:
            try:
                result = work()
            except AgentError as error:
                silent = time.monotonic() - self._last_success
                if not error.failure.retriable or silent + pause > self._seconds:
                    raise
                log.warning("%s; trying again in %.1f s", error.message, pause)
                time.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)
            else:
                self._last_success = time.monotonic()
                return result
