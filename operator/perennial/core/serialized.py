"""Size of a value as the API server receives it."""

import json
from typing import Any


def serialized_bytes(value: Any) -> int:
    """Return the number of bytes of a JSON value in UTF-8."""
    return len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass"))
