"""Liveness and readiness of the process, with the reason."""

from collections.abc import Callable, Iterable

from perennial.runtime.controller.queue import WorkQueue

_STUCK_SECONDS = 300.0


class Health:
    """State behind the probes."""

    def __init__(self, queue: WorkQueue, streams: Iterable[str]) -> None:
        """`streams` are the paths of all watches that must be established."""
        self._queue = queue
        self._awaited = set(streams)
        self._listed = False
        self._stopping = False

    def note_listed(self) -> None:
        """The cache has been filled."""
        self._listed = True

    def note_stream(self, path: str) -> None:
        """A watch was established."""
        self._awaited.discard(path)

    def note_stopping(self) -> None:
        """The process is shutting down."""
        self._stopping = True

    def not_alive(self) -> str | None:
        """Why the process should be restarted; None if it is alive."""
        longest = self._queue.longest_run
        if longest is not None and longest[1] > _STUCK_SECONDS:
            return f"a worker has been reconciling {longest[0]} for {longest[1]:.0f} s"
        return None

    def not_ready(self) -> str | None:
        """What is still missing; None if ready. A standby is ready: it could act at once."""
        if self._stopping:
            return "stopping"
        if not self._listed:
            return "the cache is being filled"
        if self._awaited:
            return f"waiting for watch streams: {', '.join(sorted(self._awaited))}"
        return self.not_alive()


Check = Callable[[], str | None]
