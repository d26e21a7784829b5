"""Output of commands: colors on a terminal, plain text in a pipe, JSON when asked."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text


class Format(StrEnum):
    """Form of the output."""

    TEXT = "text"
    JSON = "json"


def console() -> Console:
    """Standard output; colors and line lengths follow the terminal."""
    return Console(highlight=False, soft_wrap=not sys.stdout.isatty())


def write(text: str) -> None:
    """Write a line as it is."""
    sys.stdout.write(f"{text}\n")


def write_json(value: Any) -> None:
    """Write JSON."""
    write(json.dumps(value, indent=2, ensure_ascii=False))


def write_table(rows: Sequence[Mapping[str, str]], columns: Iterable[str]) -> None:
    """Write rows under headings; a pipe gets tab-separated text."""
    names = list(columns)
    if not sys.stdout.isatty():
        write("\t".join(name.upper() for name in names))
        for row in rows:
            write("\t".join(row.get(name, "") for name in names))
        return
    table = Table(*(name.upper() for name in names), box=None, pad_edge=False)
    for row in rows:
        table.add_row(*(Text(row.get(name, "")) for name in names))
    console().print(table)
