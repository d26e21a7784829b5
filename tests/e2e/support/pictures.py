"""Draw the chart's dashboards from what a real Prometheus has scraped while something happened on a cluster.

`python -m tests.e2e.support.pictures CLUSTER NAMESPACE NAME FOLDER SECONDS` scrapes for so long, then writes
`grafana-<dashboard>.png`. Grafana is not here: queries, titles, places and units are those of the dashboards that it
imports, the drawing is this module's.
"""

import asyncio
import json
import re
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from html import escape
from itertools import cycle
from math import isfinite
from pathlib import Path
from typing import Any

from tests.e2e.support.prometheus import Prometheus, filled, scraping
from tests.e2e.support.site import CHART, bring_up
from tests.support.browser import browser

_COLORS = ("#7eb26d", "#eab839", "#6ed0e0", "#ef843c", "#e24d42", "#1f78c1", "#ba43a9", "#705da0")
_WIDTH, _HEIGHT = 360, 150
"""Of a drawing, in units of its own coordinates."""
_POINTS = 240
_STYLE = """
body { margin: 0; background: #111217; color: #ccccdc; font: 13px sans-serif; }
h1 { font-size: 18px; font-weight: 500; margin: 12px 16px 4px; }
main { display: grid; grid-template-columns: repeat(24, minmax(0, 1fr)); grid-auto-rows: 28px; gap: 8px; }
main { padding: 8px 16px 16px; }
section { background: #181b1f; border: 1px solid #2c3235; border-radius: 2px; padding: 6px 10px; overflow: hidden; }
h2 { font-size: 13px; font-weight: 500; margin: 0 0 2px; }
p { font-size: 34px; margin: 14px 0 0; text-align: center; }
svg { display: block; width: 100%; } text { fill: #9a9aab; font-size: 9px; }
ul { margin: 2px 0 0; padding: 0; list-style: none; font-size: 11px; } li { display: inline-block; margin-right: 10px; }
i { display: inline-block; width: 12px; height: 3px; margin-right: 4px; vertical-align: middle; }
"""


def page(dashboard: Mapping[str, Any], server: Prometheus, chosen: Mapping[str, str], start: float) -> str:
    """Return a dashboard as HTML, with the data since a time."""
    panels = "".join(_panel(panel, server, chosen, start) for panel in dashboard["panels"])
    title = escape(f"{dashboard['title']} {chosen['name'] if '$name' in json.dumps(dashboard) else ''}")
    return f"<!doctype html><meta charset=utf-8><style>{_STYLE}</style><h1>{title}</h1><main>{panels}</main>"


def _panel(panel: Mapping[str, Any], server: Prometheus, chosen: Mapping[str, str], start: float) -> str:
    place, end = panel["gridPos"], time.time()
    series = [
        (_legend(target["legendFormat"], found["metric"]), [(float(at), float(value)) for at, value in found["values"]])
        for target in panel["targets"]
        for found in server.history(filled(target["expr"], chosen), start, end, (end - start) / _POINTS)
    ]
    defaults = panel["fieldConfig"]["defaults"]
    draw = _number if panel["type"] == "stat" else _lines
    area = f"grid-area: {place['y'] + 1} / {place['x'] + 1} / span {place['h']} / span {place['w']}"
    return f'<section style="{area}"><h2>{escape(panel["title"])}</h2>{draw(series, defaults, start, end)}</section>'


Series = list[tuple[str, list[tuple[float, float]]]]


def _legend(template: str, labels: Mapping[str, str]) -> str:
    if template == "__auto":
        return ", ".join(f"{name}={value}" for name, value in labels.items())
    return re.sub(r"{{\s*(\w+)\s*}}", lambda found: labels.get(found[1], ""), template)


def _number(series: Series, defaults: Mapping[str, Any], start: float, end: float) -> str:
    if not series:
        return "<p>No data</p>"
    value = series[0][1][-1][1]
    steps = [step for step in defaults["thresholds"]["steps"] if step["value"] is None or value >= step["value"]]
    color = {"green": "#73bf69", "red": "#f2495c"}[steps[-1]["color"]]
    return f'<p style="color: {color}">{_worded(value, defaults["unit"])}</p>'


def _lines(series: Series, defaults: Mapping[str, Any], start: float, end: float) -> str:
    values = [value for _, points in series for _, value in points if isfinite(value)]
    if not values:
        return "<p>No data</p>"
    low, high = min([*values, defaults.get("min", min(values))]), max(values)
    high = high if high > low else low + 1
    left, bottom = 44, _HEIGHT - 14

    def x(at: float) -> float:
        return left + (at - start) / (end - start) * (_WIDTH - left)

    def y(value: float) -> float:
        return bottom - (value - low) / (high - low) * (bottom - 8)

    marks = [low + (high - low) * part / 3 for part in range(4)]
    grid = "".join(
        f'<line x1="{left}" x2="{_WIDTH}" y1="{y(mark):.1f}" y2="{y(mark):.1f}" stroke="#2c3235"/>'
        f'<text x="{left - 4}" y="{y(mark) + 3:.1f}" text-anchor="end">{_worded(mark, defaults["unit"])}</text>'
        for mark in marks
    )
    times = "".join(
        f'<text x="{x(start + (end - start) * part / 4):.1f}" y="{_HEIGHT - 2}" text-anchor="middle">'
        f"{time.strftime('%H:%M', time.gmtime(start + (end - start) * part / 4))}</text>"
        for part in range(1, 4)
    )
    colored = list(zip(cycle(_COLORS), series, strict=False))
    paths = "".join(
        f'<polyline fill="none" stroke="{color}" stroke-width="1.3" points="{_joined(part, x, y)}"/>'
        for color, (_, points) in colored
        for part in _unbroken(points, (end - start) / _POINTS)
    )
    names = "".join(f'<li><i style="background: {color}"></i>{escape(name)}</li>' for color, (name, _) in colored)
    return f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}">{grid}{times}{paths}</svg><ul>{names}</ul>'


def _joined(points: Iterable[tuple[float, float]], x: Any, y: Any) -> str:
    return " ".join(f"{x(at):.1f},{y(value):.1f}" for at, value in points)


def _unbroken(points: Iterable[tuple[float, float]], step: float) -> list[list[tuple[float, float]]]:
    """Divide a series where it has no value for longer than a step."""
    parts: list[list[tuple[float, float]]] = []
    for at, value in points:
        if not isfinite(value):
            continue
        if not parts or at - parts[-1][-1][0] > 1.5 * step:
            parts.append([])
        parts[-1].append((at, value))
    return parts


def _worded(value: float, unit: str) -> str:
    if unit == "percentunit":
        return f"{100 * value:.0f} %"
    if unit == "bytes":
        return f"{value / 2**30:.3g} GiB"
    suffix = {"percent": " %", "s": " s", "ops": " /s", "reqps": " /s"}.get(unit, "")
    return f"{value:.3g}{suffix}"


async def _photograph(html: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "page.html"
        page.write_text(html)
        async with browser() as tab:
            await tab.size(1200, 700)
            await tab.open(page.as_uri())
            await tab.until("document.querySelector('main') !== null")
            return await tab.picture()


def main(cluster: str, namespace: str, name: str, folder: str, seconds: str) -> None:
    """Scrape for so many seconds, then draw each dashboard."""
    start = time.time()
    with tempfile.TemporaryDirectory() as files, scraping(bring_up(cluster), Path(files), namespace) as server:
        while time.time() < start + float(seconds):
            server.follow()
            time.sleep(3)
        for path in sorted((CHART / "files" / "dashboards").glob("*.json")):
            html = page(json.loads(path.read_text()), server, {"namespace": namespace, "name": name}, start)
            (Path(folder) / f"grafana-{path.stem}.png").write_bytes(asyncio.run(_photograph(html)))


if __name__ == "__main__":
    main(*sys.argv[1:])
