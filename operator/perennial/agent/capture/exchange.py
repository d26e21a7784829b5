"""One request with its answer, and the line that is written of it."""

import json
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import Lock
from typing import Any

from perennial.agent.capture.redact import redacted, redacted_target
from perennial.api.contract.commands import CaptureConfig

OVERHEAD = 1024
"""About what an exchange takes beside its bodies, in bytes."""
_LONGEST_ID = 128
_LONGEST_TARGET = 2048


class Budget:
    """Bytes that bodies may take in all: while they arrive, while they wait, while they are written."""

    def __init__(self, limit: int) -> None:
        """Give out at most `limit` bytes at a time."""
        self._left = limit
        self._lock = Lock()

    def take(self, size: int) -> bool:
        """Take bytes, if there are so many left."""
        with self._lock:
            if size > self._left:
                return False
            self._left -= size
            return True

    def give_back(self, size: int) -> None:
        """Give back what was taken."""
        with self._lock:
            self._left += size


@dataclass
class Message:
    """One direction of an exchange, while it arrives."""

    body: bytearray = field(default_factory=bytearray)
    truncated: bool = False
    """The body was longer than is kept."""
    refused: bool = False
    """There was no room for the body."""
    encoded: bool = False
    """The body is compressed."""
    framed: bool = False
    """A header tells where the body ends; else the end of the connection does."""

    def take(self, data: bytes, limit: int, budget: Budget) -> None:
        """Keep a piece of the body, up to a limit of bytes in all and as long as there is room."""
        room = limit - len(self.body)
        if len(data) > room:
            self.truncated = True
            data = data[: max(room, 0)]
        if self.refused or not budget.take(len(data)):
            self.refused = True
            return
        self.body += data

    def header(self, name: bytes, value: bytes) -> None:
        """Note what a header says about the body."""
        if name == b"content-encoding":
            self.encoded = value.strip().lower() != b"identity"
        elif name in (b"content-length", b"transfer-encoding"):
            self.framed = True

    def document(self) -> Any:
        """Return the JSON of the body; None when it is cut, compressed, or no JSON."""
        if self.truncated or self.encoded or not self.body:
            return None
        try:
            return json.loads(bytes(self.body))
        except (ValueError, RecursionError):
            return None


@dataclass
class Exchange:
    """A request and its answer."""

    request: Message = field(default_factory=Message)
    response: Message = field(default_factory=Message)
    method: str = ""
    target: str = ""
    given_id: str = ""
    status: int = 0
    wanted: bool = False
    """It is to be recorded; for others no body is kept."""
    asked: bool = False
    """The whole request has come."""
    wall: float = 0.0
    """When it had come, in seconds since 1970."""
    start: float = 0.0
    seconds: float = 0.0
    """From the end of the request to the end of the answer."""

    @property
    def size(self) -> int:
        """Return how much of the budget it holds, in bytes."""
        return len(self.request.body) + len(self.response.body) + OVERHEAD

    def add_target(self, piece: str) -> None:
        """Add to the target, which may come in pieces and be of any length."""
        self.target = (self.target + piece)[:_LONGEST_TARGET]

    def name(self, value: bytes) -> None:
        """Keep the caller's id of the request."""
        self.given_id = value.decode("latin-1")[:_LONGEST_ID]


def line(exchange: Exchange, config: CaptureConfig) -> bytes:
    """Return the JSON line of an exchange. Called in the writing thread, since parsing bodies takes time."""
    names = frozenset(name.lower() for name in config.redact or ())
    asked, answered = exchange.request.document(), exchange.response.document()
    identity = _identity(exchange, asked)
    asked, answered = redacted(asked, names), redacted(answered, names)
    record = {
        "time": datetime.fromtimestamp(exchange.wall, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "id": identity,
        "namespace": config.namespace,
        "deployment": config.deployment,
        "revision": config.revision,
        "digest": config.digest,
        "method": exchange.method,
        "path": redacted_target(exchange.target, names),
        "status": exchange.status,
        "latencyMs": round(exchange.seconds * 1000, 3),
        "request": asked,
        "response": answered,
        **({"requestTruncated": True} if exchange.request.truncated else {}),
        **({"responseTruncated": True} if exchange.response.truncated else {}),
    }
    return json.dumps(record, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace") + b"\n"


def _identity(exchange: Exchange, asked: Any) -> str:
    """Return the caller's id of the request, by header or body, or a fresh one."""
    given = exchange.given_id
    if not given and isinstance(asked, dict) and isinstance(asked.get("id"), str):
        given = asked["id"][:_LONGEST_ID]
    return given or uuid.uuid4().hex
