"""A captured request with its response, and its JSON line."""

import json
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import Lock
from typing import Any

from perennial.agent.capture.body import decoded
from perennial.agent.capture.hashed import Hashing, hashing_of
from perennial.agent.capture.redact import redacted, redacted_target
from perennial.api.contract.commands import CaptureConfig
from perennial.api.modeldeployment.capture import IdSource, RequestId

OVERHEAD = 1024
"""Approximate size of an exchange without its bodies, in bytes."""
_LONGEST_ID = 128
_LONGEST_TARGET = 2048


class Budget:
    """Limit on the memory of all exchanges that are being received, buffered or written. Thread-safe."""

    def __init__(self, limit: int) -> None:
        """Allow at most `limit` bytes at a time."""
        self._left = limit
        self._lock = Lock()

    def take(self, size: int) -> bool:
        """Reserve bytes; False if fewer are left."""
        with self._lock:
            if size > self._left:
                return False
            self._left -= size
            return True

    def release(self, size: int) -> None:
        """Release reserved bytes."""
        with self._lock:
            self._left += size


@dataclass
class Message:
    """Request or response, while it is received."""

    body: bytearray = field(default_factory=bytearray)
    truncated: bool = False
    """The body exceeded the size limit."""
    refused: bool = False
    """The memory budget had too little left for the body."""
    encoding: bytes = b""
    """How the body is compressed, in lower case; empty if it is not."""
    header_size: int | None = None
    """Size of the JSON part, if binary tensors of the Open Inference Protocol follow it."""
    limit: int = 0
    """Most bytes of the body, also after decompression."""
    framed: bool = False
    """A header gives the length of the body; otherwise it ends with the connection."""

    def take(self, data: bytes, limit: int, budget: Budget) -> None:
        """Append a chunk of the body, up to `limit` bytes in total and as far as the budget allows."""
        self.limit = limit
        left = limit - len(self.body)
        if len(data) > left:
            self.truncated = True
            data = data[: max(left, 0)]
        if self.refused or not budget.take(len(data)):
            self.refused = True
            return
        self.body += data

    def header(self, name: bytes, value: bytes) -> None:
        """Evaluate a header about the body."""
        if name == b"content-encoding":
            self.encoding = value.strip().lower()
        elif name == b"inference-header-content-length" and value.strip().isdigit():
            self.header_size = int(value)
        elif name in (b"content-length", b"transfer-encoding"):
            self.framed = True

    def document(self) -> Any:
        """Return the decoded body; None if it is truncated or in no form that `body.decoded` knows."""
        if self.truncated or not self.body:
            return None
        return decoded(bytes(self.body), self.encoding, self.header_size, self.limit)


@dataclass
class Exchange:
    """A request and its response."""

    request: Message = field(default_factory=Message)
    response: Message = field(default_factory=Message)
    method: str = ""
    target: str = ""
    given_id: str = ""
    """Value of the request header that `capture.id` names."""
    status: int = 0
    sampled: bool = False
    """It is recorded; otherwise no body is kept."""
    request_complete: bool = False
    """The whole request has been received."""
    wall: float = 0.0
    """Unix time when the request was complete, in seconds."""
    start: float = 0.0
    seconds: float = 0.0
    """Time from the end of the request to the end of the response."""

    @property
    def size(self) -> int:
        """Bytes of the budget that it has reserved."""
        return len(self.request.body) + len(self.response.body) + OVERHEAD

    def add_target(self, piece: str) -> None:
        """Append a chunk of the request target, up to a maximum length."""
        self.target = (self.target + piece)[:_LONGEST_TARGET]

    def name(self, value: bytes) -> None:
        """Set the id from the request header."""
        self.given_id = value.decode("latin-1")[:_LONGEST_ID]


def line(exchange: Exchange, config: CaptureConfig, hashing: Hashing | None = None) -> bytes:
    """Encode an exchange as a JSON line. Called in the writer thread, since parsing bodies takes time.

    Args:
        exchange: what to encode.
        config: how.
        hashing: as `hashing_of` gives it, which is None's meaning too: nothing is written in clear for want of it.

    Raises:
        TooDeep: a body is nested too deeply to be searched for names.
        AgentError: HashKeyInvalid, if there is no key for what is to be hashed.
    """
    hashing = hashing or hashing_of(config)
    names = frozenset(name.lower() for name in config.redact or ())
    # Nothing reads a body before its redaction and hashing.
    bodies = exchange.request.document(), exchange.response.document()
    request, response = (hashing.document(redacted(body, names)) for body in bodies)
    path = hashing.target(redacted_target(exchange.target, names))
    hidden = bool(names or hashing.names) and (*bodies, exchange.target) != (request, response, path)
    source = config.id or RequestId()
    from_header = hashing.header(source.header, exchange.given_id) if source.header.lower() not in names else ""
    record = {
        "time": datetime.fromtimestamp(exchange.wall, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "id": request_id(source.source, header=from_header, body=_id_of(request)),
        **({"requestId": from_header} if from_header else {}),
        "namespace": config.namespace,
        "deployment": config.deployment,
        "revision": config.revision,
        "digest": config.digest,
        "method": exchange.method,
        "path": path,
        "status": exchange.status,
        "latencyMs": round(exchange.seconds * 1000, 3),
        "request": request,
        "response": response,
        **({"requestTruncated": True} if exchange.request.truncated else {}),
        **({"responseTruncated": True} if exchange.response.truncated else {}),
        **({"hidden": True} if hidden else {}),
    }
    return json.dumps(record, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace") + b"\n"


def request_id(source: IdSource, *, header: str, body: str) -> str:
    """Choose the id of a request; a new one if the source has none.

    Auto prefers the body, since a proxy may have set the header.
    """
    given = {"Auto": body or header, "Body": body, "Header": header}[source]
    return given or uuid.uuid4().hex


def _id_of(request: Any) -> str:
    """Return `id` of a body, a string or an integer; empty if it has none."""
    given = request.get("id") if isinstance(request, dict) else None
    if isinstance(given, int) and not isinstance(given, bool):
        given = str(given)
    return given[:_LONGEST_ID] if isinstance(given, str) else ""
