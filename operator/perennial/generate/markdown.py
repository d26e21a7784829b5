"""Renders pages and tables in Markdown."""

from collections.abc import Iterable, Sequence

from perennial.generate.text import MARK


def page(title: str, *parts: str) -> str:
    """Render a page: title, the comment that it is generated, and its parts."""
    return "\n\n".join([f"# {title}", f"<!-- {MARK} -->", *(part.strip("\n") for part in parts)]) + "\n"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Render a table; characters that would end a cell or a line are escaped."""
    lines = [_row(head), _row(["---"] * len(head)), *(_row([cell(item) for item in row]) for row in rows)]
    return "\n".join(lines)


def cell(text: str) -> str:
    """Escape text so that it stays within its cell and renders literally."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def code(text: str) -> str:
    """Render text as inline code."""
    return f"`{text}`"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
