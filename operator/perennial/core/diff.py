"""Whether a live object still holds all that was applied to it."""

from collections.abc import Mapping, Sequence
from typing import Any

from perennial.core.quantities import same_quantity


def covers(live: Any, desired: Any) -> bool:
    """Tell whether `live` holds everything in `desired`; what defaulting or others added does not matter.

    Lists must have equal lengths, since an element added by hand changes what runs. Leaves are equal when
    they are the same value or the same quantity.
    """
    if isinstance(desired, Mapping):
        return isinstance(live, Mapping) and all(
            key in live and covers(live[key], value) if not _is_empty(value) else _is_empty(live.get(key))
            for key, value in desired.items()
        )
    if isinstance(desired, Sequence) and not isinstance(desired, str):
        return (
            isinstance(live, Sequence)
            and not isinstance(live, str)
            and len(live) == len(desired)
            and all(covers(mine, theirs) for mine, theirs in zip(live, desired, strict=True))
        )
    return bool(live == desired) or (
        not isinstance(desired, bool) and isinstance(desired, str | int | float) and same_quantity(live, desired)
    )


def _is_empty(value: Any) -> bool:
    """Tell whether the API server may drop the value: it does not store empty maps, lists and nulls everywhere."""
    return value is None or (isinstance(value, Mapping | Sequence) and not isinstance(value, str) and not value)
