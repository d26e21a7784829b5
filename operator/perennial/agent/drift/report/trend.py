"""What has changed since earlier comparisons: a section of report.html, and a line of each column."""

from collections.abc import Sequence
from html import escape

from perennial.agent.text import count
from perennial.api.contract.report import ColumnHistory, HistoryReport

_WIDTH, _HEIGHT = 240, 32
_LEAST_TOP = 2.0
_MOST_TOP = 10.0
"""Ratios to the threshold that the chart reaches at least, and beyond which values are drawn at its upper edge."""
_SHOWN = 20
_TRENDS = {
    "Rising": "The share of drifted columns is rising",
    "Falling": "The share of drifted columns is falling",
    "Steady": "The share of drifted columns shows no trend",
}


def changes_section(history: HistoryReport | None) -> str:
    """Render what has changed since the last comparison and the trend; empty without a history."""
    if history is None:
        return ""
    chart = chart_of(history.shares, "Share of drifted columns", None)
    return f"<h2>Since the last comparison</h2>{_changes(history)}<p>{escape(_trend(history))}</p>{chart}"


def _changes(history: HistoryReport) -> str:
    if history.previous is None:
        return '<p class="soft">No earlier comparison of this model is known.</p>'
    before = escape(f"The comparison before was at {history.previous}.")
    if not history.newly_drifted and not history.recovered:
        return f"<p>No column has begun or ceased to drift. {before}</p>"
    newly = _names("Newly drifted", "bad", history.newly_drifted)
    recovered = _names("No longer drifted", "good", history.recovered)
    return f'{newly}{recovered}<p class="soft">{before}</p>'


def _names(title: str, colour: str, names: Sequence[str]) -> str:
    if not names:
        return ""
    rest = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f'<p><span class="{colour}">{title}</span>: {escape(", ".join(names[:_SHOWN]))}{rest}</p>'


def _trend(history: HistoryReport) -> str:
    windows = count(history.trend_windows, "window")
    text = _TRENDS.get(history.trend)
    if text is None:
        return f"Trend not judged: it needs five windows that do not overlap, and there are {history.trend_windows}."
    return f"{text} over {windows} that do not overlap."


def column_trend(name: str, history: ColumnHistory | None) -> str:
    """Render since when a column has drifted, and a chart of its score; empty without a history."""
    if history is None:
        return ""
    row = f", {count(history.in_a_row, 'comparison')} in a row" if history.in_a_row > 1 else ""
    since = f'<p class="bad">Drifted since {escape(history.since)}{row}</p>' if history.since else ""
    return since + chart_of(history.points, f"Score of {name} relative to its threshold", 1.0)


def chart_of(points: Sequence[float | None], label: str, limit: float | None) -> str:
    """Draw values as a line, oldest first, with gaps where there is none; empty with fewer than two values.

    Args:
        points: values from 0.
        label: what they are, as text.
        limit: value of a dashed line. None: the values are shares, and the chart reaches from 0 to 1.
    """
    known = [value for value in points if value is not None]
    if len(known) < 2:  # noqa: PLR2004
        return ""
    top = 1.0 if limit is None else min(max(_LEAST_TOP, *known), _MOST_TOP)
    title = escape(f"{label} in the last {count(len(known), 'comparison')}", quote=True)
    dashed = "" if limit is None else f'<path class="limit" d="M0 {_y(limit, top)}H{_WIDTH}"/>'
    return (
        f'<svg class="trend" viewBox="0 0 {_WIDTH} {_HEIGHT}" preserveAspectRatio="none" role="img" '
        f'aria-label="{title}" fill="none" stroke="#c2410c"><title>{title}</title>{dashed}'
        f'<path vector-effect="non-scaling-stroke" d="{_line(points, top)}"/></svg>'
    )


def _line(points: Sequence[float | None], top: float) -> str:
    step = _WIDTH / (len(points) - 1)
    parts = []
    pen = "M"
    for index, value in enumerate(points):
        if value is None:
            pen = "M"
            continue
        parts.append(f"{pen}{index * step:.4g} {_y(value, top)}")
        pen = "L"
    return "".join(parts)


def _y(value: float, top: float) -> str:
    return f"{_HEIGHT - 2 - min(value / top, 1.0) * (_HEIGHT - 4):.4g}"
