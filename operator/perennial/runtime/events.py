"""Events about resources, as `kubectl describe` shows them."""

from datetime import datetime
from uuid import uuid4

from perennial.core.conditions import shorten
from perennial.core.decision import EventNote
from perennial.core.kinds import Raw
from perennial.core.times import format_time

_COMPONENT = "perennial"
_NAME_ROOM = 200
_MESSAGE_LIMIT = 1024


def event_object(resource: Raw, note: EventNote, now: datetime, instance: str) -> Raw:
    """Return the Event object of a note about a resource; `instance` is the replica that says it."""
    metadata = resource["metadata"]
    moment = format_time(now)
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {
            "name": f"{metadata['name'][:_NAME_ROOM]}.{uuid4().hex[:16]}",
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
