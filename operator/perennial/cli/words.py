"""Short forms of values that several commands show."""

from collections.abc import Mapping
from datetime import datetime

from perennial.core.times import parse_time

_DIGEST = 19
"""Characters of a digest that are shown: `sha256:` and twelve digits."""
_PAIRS = 4


def short_digest(digest: str | None) -> str:
    """Return the beginning of a digest; empty if there is none."""
    return (digest or "")[:_DIGEST]


def pairs(values: Mapping[str, str] | None) -> str:
    """Return the first entries as `name=value`, separated by spaces."""
    return " ".join(f"{name}={value}" for name, value in list((values or {}).items())[:_PAIRS])


def joined(*parts: str) -> str:
    """Join what is not empty with commas."""
    return ", ".join(part for part in parts if part)


def ago(text: str, now: datetime) -> str:
    """Tell how long ago a time was; the text itself if it is not a time."""
    try:
        seconds = (now - parse_time(text)).total_seconds()
    except ValueError:
        return text
    return f"{span(max(0, int(seconds)))} ago"


def span(seconds: int) -> str:
    """Tell a duration in its largest unit."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
