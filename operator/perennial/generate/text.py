"""Text of generated files: YAML that is the same for the same data, and the marks that say who writes it."""

from collections.abc import Iterator
from textwrap import wrap
from typing import Any

import yaml

WIDTH = 118
MARK = "Written by `make generate`; changes are made in operator/perennial."


class _Plain(yaml.SafeDumper):
    """Writes every object in full: an anchor in a file that people read and diff helps nobody."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - the name is the base class's
        """Say that nothing is to be an alias."""
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002 - as above
        """Set lists in from their key, as most charts do."""
        super().increase_indent(flow, False)


def to_yaml(data: Any) -> str:
    """Return block YAML in the order of the data."""
    return yaml.dump(data, Dumper=_Plain, sort_keys=False, allow_unicode=True, width=WIDTH)


def comment(text: str, indent: int = 0, mark: str = "# ") -> Iterator[str]:
    """Yield the lines of a comment, wrapped."""
    lead = " " * indent + mark
    yield from (f"{lead}{line}" for line in wrap(text, WIDTH - len(lead), break_on_hyphens=False))


def indented(text: str, spaces: int) -> str:
    """Return the text set in; empty lines stay empty."""
    return "".join(f"{' ' * spaces}{line}" if line.strip() else line for line in text.splitlines(keepends=True))


def literal(text: str) -> str:
    """Return text that Helm's template engine gives back as it was."""
    return text.replace("{{", '{{ "{{" }}')
