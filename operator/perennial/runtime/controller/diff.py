"""Compares a live object with the fields that were applied to it."""

from collections.abc import Mapping, Sequence
from typing import Any

from perennial.core.quantities import same_quantity

_ATOMIC = frozenset({"selector"})
"""Maps that server-side apply replaces as a whole."""


def covers(live: Any, desired: Any) -> bool:
    """Tell whether `live` contains everything in `desired`; additions by defaulting or others are ignored.

    Lists must have equal lengths, since an added element changes what runs, and selectors must be equal, since a label
    more selects fewer pods. Leaves are equal if they are the same value or the same quantity.
    """
    if isinstance(desired, Mapping):
        return isinstance(live, Mapping) and all(
            _covers_key(key, live[key], value) if key in live and not _is_empty(value) else _absent(live, key, value)
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


def _covers_key(key: str, live: Any, desired: Any) -> bool:
    return bool(live == desired) if key in _ATOMIC else covers(live, desired)


def _absent(live: Mapping[str, Any], key: str, desired: Any) -> bool:
    return _is_empty(desired) and _is_empty(live.get(key))


def _is_empty(value: Any) -> bool:
    """Tell whether the API server may drop the value, as it does with some empty maps, lists and nulls."""
    return value is None or (isinstance(value, Mapping | Sequence) and not isinstance(value, str) and not value)


def first_difference(live: Any, desired: Any, path: str = "") -> str | None:
    """Path of the first field in which `live` differs from `desired`; None if it covers it."""
    if covers(live, desired):
        return None
    for step, mine, wanted in _steps(live, desired):
        atomic = step.removeprefix(".") in _ATOMIC and not _is_empty(wanted)
        if atomic and mine != wanted:
            return f"{path}{step}".lstrip(".")
        found = first_difference(mine, wanted, f"{path}{step}")
        if found is not None:
            return found
    return path.lstrip(".") or "(the whole object)"


def projection(live: Any, desired: Any) -> Any:
    """The part of `live` that `desired` mentions: `covers` depends on nothing else."""
    if isinstance(desired, Mapping) and desired and isinstance(live, Mapping):
        return {
            key: live[key] if key in _ATOMIC else projection(live[key], value)
            for key, value in desired.items()
            if key in live
        }
    if _is_list(desired) and _is_list(live) and len(live) == len(desired):
        return [projection(mine, wanted) for mine, wanted in zip(live, desired, strict=True)]
    return live


def _steps(live: Any, desired: Any) -> list[tuple[str, Any, Any]]:
    if isinstance(desired, Mapping) and isinstance(live, Mapping):
        return [(f".{key}", live.get(key), value) for key, value in desired.items()]
    if _is_list(desired) and _is_list(live) and len(live) == len(desired):
        pairs = zip(live, desired, strict=True)
        return [(f"[{index}]", mine, wanted) for index, (mine, wanted) in enumerate(pairs)]
    return []


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)
