"""Formats amounts, shares and numbers in messages."""

from decimal import Decimal

from perennial.api.contract.messages import LINE_LENGTH

_LARGEST = 999_999_000_000.0


def percent(share: float) -> str:
    """Format a share as a percentage: 12.5%. Never 0% for more than nothing, nor 100% for less than all."""
    if 0 < share < 0.001:  # noqa: PLR2004
        return "under 0.1%"
    if 0.999 < share < 1:  # noqa: PLR2004
        return "over 99.9%"
    return f"{100 * share:.3g}%"


def share_of(part: int, whole: int, least: int = 1) -> str:
    """Format the share of some rows as a percentage, or "some" if fewer than `least` rows have made it."""
    return percent(part / whole if whole else 0.0) if part >= least or not part else "some"


def number(value: float) -> str:
    """Format a number with four significant digits, without an exponent from 1e-4 up to 1e6."""
    if value == 0 or 1e-4 <= abs(value) < 1e6:  # noqa: PLR2004
        text = f"{value:,.{_decimals(value)}f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    return f"{value:.3g}"


def count(amount: int, noun: str) -> str:
    """Format an amount with its noun: 1 column, 2 columns."""
    return f"{amount:,} {noun}" if amount == 1 else f"{amount:,} {noun}s"


def _decimals(value: float) -> int:
    magnitude = abs(value)
    for decimals, limit in enumerate((1000, 100, 10, 1, 0.1, 0.01, 0.001)):
        if magnitude >= limit:
            return decimals
    return 7


def decimal_text(value: float) -> str:
    """Format a number as `api.common.base.Decimal`: six significant digits, at most ten decimals, no exponent."""
    bounded = 0.0 if value != value else min(max(value, -_LARGEST), _LARGEST)  # noqa: PLR0124  NaN is not itself
    text = f"{Decimal(f'{bounded:.6g}'):.10f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def cut(text: str, length: int) -> str:
    """Replace control characters and truncate the text."""
    clean = "".join(character if character.isprintable() else "?" for character in text)
    return clean if len(clean) <= length else clean[: length - 1] + "…"


def clipped(text: str) -> str:
    """Return printable text of at most a line, cut in the middle, since the end tells what to do."""
    plain = "".join(character if character.isprintable() else "?" for character in text)
    half = (LINE_LENGTH - 1) // 2
    return plain if len(plain) <= LINE_LENGTH else f"{plain[:half]}…{plain[-half:]}"
