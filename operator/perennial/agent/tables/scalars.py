"""JSON scalars as the texts by which they are compared. Apart from `table`, so that capture needs no polars."""

from perennial.stats.text import number_text

MAX_TEXT = 256
"""Maximum length of a category, which is shown in reports; longer strings are truncated."""


def scalar_text(value: float | bool | str | None) -> str | None:
    """Return the category of a JSON scalar, as `table.as_text` gives it for a column; None for null and NaN."""
    match value:
        case None:
            return None
        case bool():
            return str(value).lower()
        case str():
            return value[:MAX_TEXT]
        case int():
            return _whole_text(value)
        case _:
            return number_text(value) if value == value else None  # noqa: PLR0124


def _whole_text(value: int) -> str | None:
    """Return all digits, or None for more than Python converts: such a number is no id and no category."""
    try:
        return str(value)
    except ValueError:
        return None
