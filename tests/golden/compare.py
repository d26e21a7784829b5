"""Comparing what came out with what a case expects, where `<ANY>` stands for anything."""

from __future__ import annotations

import re
from typing import Any

ANY = "<ANY>"


def differences(expected: Any, actual: Any, path: str = "expect") -> list[str]:
    """Return one line for each place where the actual value does not match the expected one."""
    if isinstance(expected, str) and ANY in expected:
        return [] if _fits(expected, actual) else [f"{path}: expected {expected!r}, got {actual!r}"]
    if isinstance(expected, dict) and isinstance(actual, dict):
        return [
            line for key in sorted({*expected, *actual}) for line in _of_key(expected, actual, key, f"{path}.{key}")
        ]
    if isinstance(expected, list) and isinstance(actual, list):
        short = [] if len(expected) == len(actual) else [f"{path}: expected {len(expected)} items, got {len(actual)}"]
        pairs = enumerate(zip(expected, actual, strict=False))
        return short + [line for i, (left, right) in pairs for line in differences(left, right, f"{path}[{i}]")]
    return [] if expected == actual else [f"{path}: expected {expected!r}, got {actual!r}"]


def keep_wildcards(expected: Any, actual: Any) -> Any:
    """Return the actual value, with `<ANY>` left where the old expectation had it and still fits."""
    if isinstance(expected, str) and ANY in expected and _fits(expected, actual):
        return expected
    if isinstance(expected, dict) and isinstance(actual, dict):
        return {key: keep_wildcards(expected.get(key), value) for key, value in actual.items()}
    if isinstance(expected, list) and isinstance(actual, list):
        padded = [*expected, *[None] * len(actual)]
        return [keep_wildcards(old, new) for old, new in zip(padded, actual, strict=False)]
    return actual


def _of_key(expected: dict[str, Any], actual: dict[str, Any], key: str, path: str) -> list[str]:
    if key not in actual:
        return [f"{path}: expected {expected[key]!r}, got nothing"]
    if key not in expected:
        return [f"{path}: expected nothing, got {actual[key]!r}"]
    return differences(expected[key], actual[key], path)


def _fits(pattern: str, actual: Any) -> bool:
    if pattern == ANY:
        return True
    text = ".*".join(re.escape(part) for part in pattern.split(ANY))
    return isinstance(actual, str) and re.fullmatch(text, actual, re.DOTALL) is not None
