"""Formats sentences that describe a change."""

from perennial.agent.text import number, percent
from perennial.api.contract.report import Bars, ColumnSide, NumberSummary

_NOTICEABLE_SHIFT = 0.1
_NOTICEABLE_SPREAD = 1.25
_OTHERS = "(others)"


def describe(*, drifted: bool, method: str, reference: ColumnSide, current: ColumnSide, bars: Bars | None) -> str:
    """Describe the change of a column in one sentence."""
    if method == "missing":
        return describe_missing(reference, current)
    if reference.numbers and current.numbers and not (bars and bars.labels):
        change = _numbers(reference.numbers, current.numbers)
    elif bars and bars.labels:
        change = _categories(bars)
    else:
        change = "the values cannot be drawn"
    prefix = "" if drifted else "No drift: "
    sentence = f"{prefix}{change}."
    return sentence[0].upper() + sentence[1:]


def describe_missing(reference: ColumnSide, current: ColumnSide) -> str:
    """Describe the change of the share of missing values, and of infinite ones if there are any."""
    missing = [_part(side.missing - side.infinite, side.rows) for side in (reference, current)]
    text = f"{percent(missing[0])} of the values were missing, now {percent(missing[1])}"
    if reference.infinite or current.infinite:
        infinite = [_part(side.infinite, side.rows) for side in (reference, current)]
        text += f"; {percent(infinite[0])} were infinite, now {percent(infinite[1])}"
    return f"{text}."


def _part(amount: int, rows: int) -> float:
    return amount / rows if rows else 0.0


def _numbers(before: NumberSummary, now: NumberSummary) -> str:
    shift = (now.mean - before.mean) / before.standard_deviation if before.standard_deviation else None
    if shift is None:
        return f"every value was {number(before.mean)}, now the average is {number(now.mean)}"
    if abs(shift) >= _NOTICEABLE_SHIFT:
        direction = "higher" if shift > 0 else "lower"
        return (
            f"values are {direction}: on average {number(now.mean)}, before {number(before.mean)} "
            f"({abs(shift):.2g} standard deviations)"
        )
    ratio = now.standard_deviation / before.standard_deviation
    if not 1 / _NOTICEABLE_SPREAD <= ratio <= _NOTICEABLE_SPREAD:
        direction = "wider" if ratio > 1 else "narrower"
        return (
            f"values spread {direction}: standard deviation {number(now.standard_deviation)}, "
            f"before {number(before.standard_deviation)}; the average is {number(now.mean)}"
        )
    return (
        f"on average {number(now.mean)}, before {number(before.mean)}; "
        f"median {number(now.median)}, before {number(before.median)}"
    )


def _categories(bars: Bars) -> str:
    changes = [
        (round(abs(current - reference), 9), label, reference, current)
        for label, reference, current in zip(bars.labels, bars.reference, bars.current, strict=True)
    ]
    _, label, reference, current = max(changes, key=lambda change: change[0])
    if label == _OTHERS:
        return f"the rarer values together make up {percent(current)}, before {percent(reference)}"
    name = f"“{label}”"
    if reference == 0:
        return f"{name} is new and makes up {percent(current)}"
    if current == 0:
        return f"{name} has vanished; it made up {percent(reference)}"
    return f"{name} makes up {percent(current)}, before {percent(reference)}"
