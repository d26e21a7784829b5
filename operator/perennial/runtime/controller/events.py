"""Posts Events about resources, as shown by `kubectl describe`, with lower priority than reconciles."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from uuid import uuid4

from perennial.adapters.errors import ApiError, NotLeader
from perennial.core.conditions import shorten
from perennial.core.decision import EventNote
from perennial.core.kinds import Raw
from perennial.core.times import format_time
from perennial.runtime.controller.api import Api

_log = logging.getLogger(__name__)

_COMPONENT = "perennial"
_NAME_LENGTH = 200
_MESSAGE_LIMIT = 1024
_MOST_WAITING = 4096
_PAUSE_WHEN_BUSY = 0.05
_FLUSH_SECONDS = 2.0


class EventPoster:
    """Posts Events one by one, and slows down while keys wait for a worker: an Event costs as much as any write."""

    def __init__(self, api: Api, *, instance: str, is_busy: Callable[[], bool]) -> None:
        """`instance` is the reporting replica."""
        self._api = api
        self._instance = instance
        self._is_busy = is_busy
        self._waiting: deque[Raw] = deque(maxlen=_MOST_WAITING)  # if there are too many, the oldest are dropped
        self._something = asyncio.Event()

    def add(self, resource: Raw, notes: Iterable[EventNote]) -> None:
        """Queue Events about a resource. Delivery is best effort: a lost Event is not retried."""
        now = datetime.now(UTC)
        for note in notes:
            self._waiting.append(event_object(resource, note, now, self._instance))
            self._something.set()

    async def run(self) -> None:
        """Post Events until cancelled."""
        while True:
            await self._something.wait()
            if self._is_busy():
                await asyncio.sleep(_PAUSE_WHEN_BUSY)
            await self._post_next()

    async def flush(self) -> None:
        """Post the queued Events, within a time limit."""
        try:
            async with asyncio.timeout(_FLUSH_SECONDS):
                while self._waiting:
                    await self._post_next()
        except TimeoutError:
            _log.warning("%d Events were not posted", len(self._waiting))

    async def _post_next(self) -> None:
        if self._waiting:
            event = self._waiting.popleft()
            try:
                await self._api.post_event(event)
            except (ApiError, NotLeader) as error:
                _log.debug("an Event was not posted: %s", error)
        if not self._waiting:
            self._something.clear()


def event_object(resource: Raw, note: EventNote, now: datetime, instance: str) -> Raw:
    """Build the Event object."""
    metadata = resource["metadata"]
    moment = format_time(now)
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {
            "name": f"{metadata['name'][:_NAME_LENGTH]}.{uuid4().hex[:16]}",
            "namespace": metadata["namespace"],
        },
        "involvedObject": {
            "apiVersion": resource["apiVersion"],
            "kind": resource["kind"],
            "namespace": metadata["namespace"],
            "name": metadata["name"],
            "uid": metadata["uid"],
            "resourceVersion": metadata["resourceVersion"],
        },
        "type": note.type,
        "reason": note.reason,
        "message": shorten(note.message, _MESSAGE_LIMIT),
        "source": {"component": _COMPONENT},
        "reportingComponent": _COMPONENT,
        "reportingInstance": instance,
        "firstTimestamp": moment,
        "lastTimestamp": moment,
        "count": 1,
    }
