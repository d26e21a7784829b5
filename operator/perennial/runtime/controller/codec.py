"""Makes objects small before they are kept: thousands of them stay in memory for as long as the process lives.

What is kept is JSON text: as Python objects the same takes four times as much. It is parsed again each time that it is
read, which costs tens of microseconds, a hundredth of the reconcile that reads it.
"""

import json
from typing import Any

from perennial.core.kinds import JOB, POD, Kind, Raw
from perennial.core.labels import LAST_APPLIED_ANNOTATION

_NEVER_READ = {
    # Written once and never compared: rooms read how Jobs and pods fare, not what they were made of.
    JOB.kind: ("template",),
    POD.kind: ("containers", "initContainers", "volumes", "affinity", "tolerations"),
}


def pack(kind: Kind, raw: Raw) -> bytes:
    """Return the object as it is kept, without what nobody reads; the one given stays as it is."""
    metadata = {name: value for name, value in raw["metadata"].items() if name != "managedFields"}
    annotations = metadata.get("annotations")
    if annotations and LAST_APPLIED_ANNOTATION in annotations:
        metadata["annotations"] = {key: text for key, text in annotations.items() if key != LAST_APPLIED_ANNOTATION}
    slim: dict[str, Any] = {**raw, "metadata": metadata}
    unread = _NEVER_READ.get(kind.kind, ())
    if unread and raw.get("spec"):
        slim["spec"] = {name: value for name, value in raw["spec"].items() if name not in unread}
    return json.dumps(slim, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")


def unpack(kept: bytes) -> Raw:
    """Return a kept object, a fresh copy each time."""
    raw: Raw = json.loads(kept.decode("utf-8", "surrogatepass"))
    return raw
