"""Short forms of values that several commands show."""

from collections.abc import Mapping

_DIGEST = 19
"""Characters of a digest that are shown: `sha256:` and twelve digits."""
_PAIRS = 4


def short_digest(digest: str | None) -> str:
    """Return the beginning of a digest; empty if there is none."""
    return (digest or "")[:_DIGEST]


def pairs(values: Mapping[str, str] | None) -> str:
    """Return the first entries as `name=value`, separated by spaces."""
    return " ".join(f"{name}={value}" for name, value in list((values or {}).items())[:_PAIRS])
