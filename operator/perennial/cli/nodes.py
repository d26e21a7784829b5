"""Trees as data, and their forms on a terminal, in a pipe and as JSON."""

from dataclasses import dataclass, field
from typing import Any, Literal

from rich.text import Text
from rich.tree import Tree

State = Literal["ok", "working", "waiting", "failed", "unknown"]

SYMBOLS: dict[State, tuple[str, str]] = {
    "ok": ("✔", "green"),
    "working": ("●", "cyan"),
    "waiting": ("◷", "yellow"),
    "failed": ("✖", "red"),
    "unknown": ("?", "dim"),
}
"""Symbol and color of a state. The word is written beside it, since color alone tells nothing to many people."""


@dataclass(frozen=True)
class Node:
    """One line of a tree."""

    kind: str
    name: str
    state: State
    text: str = ""
    children: tuple["Node", ...] = field(default=())

    def dump(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "kind": self.kind,
            "name": self.name,
            "state": self.state,
            **({"text": self.text} if self.text else {}),
            **({"children": [child.dump() for child in self.children]} if self.children else {}),
        }


def plain(node: Node, depth: int = 0) -> list[str]:
    """Lines for a pipe: two spaces of indent a level, the state as a word."""
    line = f"{'  ' * depth}{node.kind} {node.name}: {node.state}{f', {node.text}' if node.text else ''}"
    return [line, *(text for child in node.children for text in plain(child, depth + 1))]


def rich_tree(node: Node, parent: Tree | None = None) -> Tree:
    """Tree for a terminal."""
    symbol, color = SYMBOLS[node.state]
    line = Text.assemble((f"{symbol} ", color), (f"{node.kind} ", "dim"), (node.name, "bold"), (f"  {node.text}", ""))
    branch = parent.add(line) if parent is not None else Tree(line, guide_style="dim")
    for child in node.children:
        rich_tree(child, branch)
    return branch
