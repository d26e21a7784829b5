"""One request with its answer, and the line that is written of it."""

import json
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from perennial.api.agent import CaptureConfig

_LONGEST_ID = 128


@dataclass
class Message:
    """One direction of an exchange, while it arrives."""

    target: str = ""
    method: str = ""
    status: int = 0
    headers: dict[bytes, bytes] = field(default_factory=dict)
    body: bytearray = field(default_factory=bytearray)
    truncated: bool = False

    def take(self, data: bytes, limit: int) -> None:
        """Keep a piece of the body, up to a limit of bytes in all."""
        room = limit - len(self.body)
        if len(data) > room:
            self.truncated = True
            data = data[: max(room, 0)]
        self.body += data


@dataclass(frozen=True)
class Exchange:
    """A request and its answer."""

    request: Message
    response: Message
    wall: float
    """When the request had come, in seconds since 1970."""
    seconds: float
    """From the end of the request to the end of the answer."""

    @property
    def size(self) -> int:
        """Return about how much memory it holds, in bytes."""
        return len(self.request.body) + len(self.response.body) + 1024


def line(exchange: Exchange, config: CaptureConfig) -> bytes:
    """Return the JSON line of an exchange. Called in the writing thread, since parsing bodies takes time."""
    asked, answered = document(exchange.request), document(exchange.response)
    record = {
        "time": datetime.fromtimestamp(exchange.wall, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "id": _identity(exchange.request, asked),
        "namespace": config.namespace,
        "deployment": config.deployment,
        "revision": config.revision,
        "digest": config.digest,
        "method": exchange.request.method,
        "path": exchange.request.target,
        "status": exchange.response.status,
        "latencyMs": round(exchange.seconds * 1000, 3),
        "request": asked,
        "response": answered,
        **({"requestTruncated": True} if exchange.request.truncated else {}),
        **({"responseTruncated": True} if exchange.response.truncated else {}),
    }
    return json.dumps(record, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace") + b"\n"


def document(message: Message) -> Any:
    """Return the JSON of a body; None when it is cut, compressed, or no JSON."""
    if message.truncated or not message.body or b"content-encoding" in message.headers:
        return None
    try:
        return json.loads(bytes(message.body))
    except (ValueError, RecursionError):
        return None


def _identity(request: Message, asked: Any) -> str:
    """Return the caller's id of the request, by header or body, or a fresh one."""
    given = request.headers.get(b"x-request-id", b"").decode("latin-1")
    if not given and isinstance(asked, dict) and isinstance(asked.get("id"), str):
        given = asked["id"]
    return given[:_LONGEST_ID] or uuid.uuid4().hex
