"""Where a live object departs from what was applied, and whether the departure is always the same one."""

from collections.abc import Mapping, Sequence
from typing import Any

from perennial.core.diff import covers


def first_difference(live: Any, desired: Any, path: str = "") -> str | None:
    """Return the path of the first field that `live` does not hold as desired, or None where it holds them all."""
    if covers(live, desired):
        return None
    for step, mine, wanted in _steps(live, desired):
        found = first_difference(mine, wanted, f"{path}{step}")
        if found is not None:
            return found
    return path.lstrip(".") or "(the whole object)"


def projection(live: Any, desired: Any) -> Any:
    """Return the part of `live` that `desired` speaks of: two objects with one projection look the same to `covers`."""
    if isinstance(desired, Mapping) and desired and isinstance(live, Mapping):
        return {key: projection(live[key], value) for key, value in desired.items() if key in live}
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
