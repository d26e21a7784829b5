"""Compares two answers to one request, row by row."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from perennial.agent.predictions.outputs import tensor_of
from perennial.agent.predictions.payload import MalformedPayload, parse_answer
from perennial.agent.tables.table import Scalar


@dataclass(frozen=True)
class Compared:
    """How two answers differ.

    Attributes:
        rows: rows of the captured answer; 1 if it is in no known format.
        agreeing: rows to which both give the same answer.
        distance: sum of the absolute differences of numbers.
        numbers: how many numbers were compared.
    """

    rows: int
    agreeing: int
    distance: float = 0.0
    numbers: int = 0


def compare(captured: object, given: object, tolerance: float, threshold: float | None = None) -> Compared:
    """Compare an answer with the captured one.

    Answers in the Open Inference Protocol or with `predictions` are compared row by row, without what names model and
    request; other documents as a whole.

    Args:
        captured: decoded body of the captured answer.
        given: decoded body of the candidate's.
        tolerance: two numbers agree if they differ by at most this; whole numbers if they are equal.
        threshold: compare decisions: a single probability decides by reaching it, several decide for the largest.
    """
    try:
        before = parse_answer(captured)
    except MalformedPayload:
        return Compared(1, int(_same_document(captured, given, tolerance)))
    try:
        now = parse_answer(given)
    except MalformedPayload:
        return Compared(before.rows, 0)
    if before.rows != now.rows or set(before.columns) != set(now.columns):
        return Compared(before.rows, 0)
    agreeing = distance = 0.0
    numbers = 0
    for row in range(before.rows):
        first = {name: values[row] for name, values in before.columns.items()}
        second = {name: now.columns[name][row] for name in before.columns}
        agreeing += _agree(first, second, tolerance, threshold)
        gaps = [gap for name, value in first.items() if (gap := _gap(value, second[name])) is not None]
        distance += sum(gaps)
        numbers += len(gaps)
    return Compared(before.rows, int(agreeing), distance, numbers)


def _agree(
    first: Mapping[str, Scalar], second: Mapping[str, Scalar], tolerance: float, threshold: float | None
) -> bool:
    if threshold is None:
        return all(_same(value, second[name], tolerance) for name, value in first.items())
    tensors: dict[str, list[str]] = {}
    for name in first:
        tensors.setdefault(tensor_of(name), []).append(name)
    return all(
        _same_decision([first[name] for name in names], [second[name] for name in names], tolerance, threshold)
        for names in tensors.values()
    )


def _same_decision(first: Sequence[Scalar], second: Sequence[Scalar], tolerance: float, threshold: float) -> bool:
    before, now = _numbers(first), _numbers(second)
    if before is None or now is None:
        return all(_same(one, other, tolerance) for one, other in zip(first, second, strict=True))
    if len(before) > 1:
        return before.index(max(before)) == now.index(max(now))
    return (before[0] >= threshold) == (now[0] >= threshold)


def _numbers(values: Sequence[Scalar]) -> list[float] | None:
    """Return finite numbers, of which at least one is fractional; None if they are anything else, such as classes."""
    found = [float(value) for value in values if value is not None and _is_number(value)]
    finite = len(found) == len(values) and all(abs(value) < float("inf") for value in found)
    return found if finite and any(isinstance(value, float) for value in values) else None


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value  # noqa: PLR0124  not NaN


def _same(first: object, second: object, tolerance: float) -> bool:
    """Whether two values agree. NaN agrees with NaN; true does not agree with 1."""
    if isinstance(first, float) and isinstance(second, int | float) and not isinstance(second, bool):
        return abs(first - second) <= tolerance or first == second or (first != first and second != second)  # noqa: PLR0124
    if isinstance(second, float) and isinstance(first, int) and not isinstance(first, bool):
        return abs(first - second) <= tolerance
    return type(first) is type(second) and first == second


def _gap(first: Scalar, second: Scalar) -> float | None:
    """Return the absolute difference of two numbers, None if one is none or they have no finite difference."""
    if first is None or second is None or not _is_number(first) or not _is_number(second):
        return None
    try:
        gap = abs(float(first) - float(second))
    except OverflowError:
        return None
    return gap if gap < float("inf") else None


def _same_document(first: object, second: object, tolerance: float) -> bool:
    """Compare JSON documents. Not recursive, since their depth is untrusted."""
    pairs = [(first, second)]
    while pairs:
        one, other = pairs.pop()
        if isinstance(one, dict) and isinstance(other, dict):
            if one.keys() != other.keys():
                return False
            pairs.extend((value, other[name]) for name, value in one.items())
        elif isinstance(one, list) and isinstance(other, list):
            if len(one) != len(other):
                return False
            pairs.extend(zip(one, other, strict=True))
        elif not _same(one, other, tolerance):
            return False
    return True
