"""Markdown of the reference pages."""

from collections.abc import Iterable, Sequence

from perennial.generate.text import MARK


def page(title: str, *parts: str) -> str:
    """Return a page: title, the mark that says who writes it, and its parts."""
    return "\n\n".join([f"# {title}", f"<!-- {MARK} -->", *(part.strip("\n") for part in parts)]) + "\n"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; what would end a cell or a line is escaped."""
    lines = [_row(head), _row(["---"] * len(head)), *(_row([cell(item) for item in row]) for row in rows)]
    return "\n".join(lines)


def cell(text: str) -> str:
    """Return text that stays within its cell and shows as it is written."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def code(text: str) -> str:
    """Return text as code; a cell unescapes `|` within it."""
    return f"`{text}`"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
