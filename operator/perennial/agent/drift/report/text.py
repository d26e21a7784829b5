"""Formats numbers, and sentences that describe a change."""

from perennial.agent.drift.report.model import Bars, ColumnSide, NumberSummary

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


def percent(share: float) -> str:
    """Format a share as a percentage: 12.5%. Never 0% for more than nothing, nor 100% for less than all."""
    if 0 < share < 0.001:  # noqa: PLR2004
        return "under 0.1%"
    if 0.999 < share < 1:  # noqa: PLR2004
        return "over 99.9%"
    return f"{100 * share:.3g}%"


def number(value: float) -> str:
    """Format a number with four significant digits, without an exponent from 1e-4 up to 1e6."""
    if value == 0 or 1e-4 <= abs(value) < 1e6:  # noqa: PLR2004
        text = f"{value:,.{_decimals(value)}f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    return f"{value:.3g}"


def count(amount: int, noun: str) -> str:
    """Format an amount with its noun: 1 column, 2 columns."""
    return f"{amount:,} {noun}" if amount == 1 else f"{amount:,} {noun}s"


def _part(amount: int, rows: int) -> float:
    return amount / rows if rows else 0.0


def _decimals(value: float) -> int:
    magnitude = abs(value)
    for decimals, limit in enumerate((1000, 100, 10, 1, 0.1, 0.01, 0.001)):
        if magnitude >= limit:
            return decimals
    return 7


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
