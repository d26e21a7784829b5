"""Plots as inline SVG without scripts, coloured by the page's style sheet."""

from collections.abc import Sequence
from html import escape

from perennial.agent.text import number, percent
from perennial.api.contract.report import Bars

_WIDTH = 320
_HEIGHT = 90
_FILL = {"reference": "#9db2cc", "current": "#c2410c"}
"""Fallback colours for viewers that ignore style sheets."""


def plot(name: str, bars: Bars) -> str:
    """Plot a column: for ranges the reference as an area and current data as a line, otherwise a row per category."""
    return _rows(bars) if bars.labels else _steps(name, bars)


def _steps(name: str, bars: Bars) -> str:
    top = max(*bars.reference, *bars.current) or 1.0
    low, high = number(bars.edges[0]), number(bars.edges[-1])
    label = escape(f"Histogram of {name} from {low} to {high}, reference and current", quote=True)
    area = _outline(bars.reference, top)
    return (
        f'<svg class="plot" viewBox="0 0 {_WIDTH} {_HEIGHT + 14}" role="img" aria-label="{label}">'
        f'<path class="reference" fill="#9db2cc" d="M0 {_HEIGHT}{area}V{_HEIGHT}Z"/>'
        '<path class="current" fill="none" stroke="#c2410c" stroke-width="2" '
        f'd="M0 {_HEIGHT}{_outline(bars.current, top)}V{_HEIGHT}"/>'
        f'<path class="axis" stroke="#d9dee5" d="M0 {_HEIGHT}H{_WIDTH}"/>'
        f'<text x="0" y="{_HEIGHT + 12}" font-size="10">{escape(low)}</text>'
        f'<text x="{_WIDTH}" y="{_HEIGHT + 12}" font-size="10" text-anchor="end">{escape(high)}</text></svg>'
    )


def _outline(shares: Sequence[float], top: float) -> str:
    width = _WIDTH / len(shares)
    steps = [
        f"V{_short(_HEIGHT - share / top * (_HEIGHT - 4))}H{_short((index + 1) * width)}"
        for index, share in enumerate(shares)
    ]
    return "".join(steps)


def _rows(bars: Bars) -> str:
    top = max(*bars.reference, *bars.current, 1e-12)
    rows = [
        f'<tr><th scope="row">{escape(label)}</th><td>{_bar("reference", before, top)}{_bar("current", now, top)}</td>'
        f"<td>{percent(before)} → {percent(now)}</td></tr>"
        for label, before, now in zip(bars.labels, bars.reference, bars.current, strict=True)
    ]
    return f'<table class="bars">{"".join(rows)}</table>'


def _bar(side: str, share: float, top: float) -> str:
    width = _short(100 * share / top)
    return (
        '<svg class="bar" viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect class="{side}" fill="{_FILL[side]}" width="{width}" height="6"/></svg>'
    )


def _short(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def key(side: str) -> str:
    """Render a legend entry with the colour of a side."""
    return (
        '<svg class="key" width="20" height="10" viewBox="0 0 20 10" aria-hidden="true">'
        f'<rect class="{side}" fill="{_FILL[side]}" width="20" height="10"/></svg>'
    )
