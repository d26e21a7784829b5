"""What a Grafana dashboard consists of."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["stat", "timeseries", "table"]


@dataclass(frozen=True)
class Query:
    """A PromQL expression and the name of its series."""

    expression: str
    legend: str = ""


@dataclass(frozen=True)
class Panel:
    """One panel; rows are filled from left to right."""

    title: str
    kind: Kind
    queries: tuple[Query, ...]
    description: str
    width: int = 8
    height: int = 7
    unit: str = "short"
    alarm: float | None = None
    """Value from which it is shown in red."""
    floor: float | None = 0
    """Lowest value of the axis; None where values may be negative, which Grafana would cut off."""


@dataclass(frozen=True)
class Dashboard:
    """A dashboard; `variables` are names of templating variables with the query of their values."""

    uid: str
    title: str
    panels: tuple[Panel, ...]
    variables: tuple[tuple[str, str], ...] = ()
