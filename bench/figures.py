"""A figure with its bar, and how figures are shown."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class Figure:
    """One measured value. Without a bar it only informs."""

    name: str
    value: float
    unit: str
    bar: float | None = None
    direction: Literal["least", "most"] = "most"
    """`least`: the value must reach the bar; `most`: it must not exceed it."""

    @property
    def passed(self) -> bool:
        """Tell whether the bar is met."""
        if self.bar is None:
            return True
        return self.value >= self.bar if self.direction == "least" else self.value <= self.bar

    def row(self) -> tuple[str, str, str, str]:
        """Return the line of the table: name, value, bar, verdict."""
        sign = "≥" if self.direction == "least" else "≤"
        bar = "" if self.bar is None else f"{sign} {self.bar:g}"
        verdict = "" if self.bar is None else ("ok" if self.passed else "MISSED")
        return self.name, f"{self.value:,.3g} {self.unit}".strip(), bar, verdict


def table(figures: Sequence[Figure]) -> str:
    """Return the figures as aligned columns."""
    rows = [("figure", "value", "bar", ""), *(figure.row() for figure in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)


def write(figures: Sequence[Figure], circumstances: dict[str, object], path: Path) -> None:
    """Write the figures as JSON, with the circumstances under which they were measured."""
    path.parent.mkdir(parents=True, exist_ok=True)
    found = [asdict(figure) | {"passed": figure.passed} for figure in figures]
    path.write_text(json.dumps({"circumstances": circumstances, "figures": found}, indent=2) + "\n")


def quantile(values: Sequence[float], share: float) -> float:
    """Return the value below which the share of the values lies, by the nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
