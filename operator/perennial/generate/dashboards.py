"""Grafana dashboards of the chart, rendered as the JSON that Grafana imports.

They are code, so that a test can hold each query to the metrics that exist.
"""

import json
from collections.abc import Iterable
from typing import Any

from perennial.generate.fleet_dashboard import FLEET
from perennial.generate.model_dashboard import MODEL
from perennial.generate.panels import Dashboard, Panel

FOLDER = "charts/perennial/files/dashboards"
_SCHEMA_VERSION = 39
_WIDTH = 24
"""Columns of Grafana's grid."""

DASHBOARDS = (FLEET, MODEL)


def dashboard_files() -> dict[str, str]:
    """Render all dashboards, by path in the repository."""
    return {f"{FOLDER}/{item.uid.removeprefix('perennial-')}.json": f"{_json(item)}\n" for item in DASHBOARDS}


def _json(dashboard: Dashboard) -> str:
    return json.dumps(render(dashboard), indent=1, ensure_ascii=False)


def render(dashboard: Dashboard) -> dict[str, Any]:
    """Build the JSON that Grafana imports."""
    source = {
        "name": "datasource",
        "label": "Prometheus",
        "type": "datasource",
        "query": "prometheus",
    }
    return {
        "uid": dashboard.uid,
        "title": dashboard.title,
        "description": "Generated from the operator's code. Copy it to change it.",
        "tags": ["perennial"],
        "schemaVersion": _SCHEMA_VERSION,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-24h", "to": "now"},
        "templating": {"list": [source, *(_variable(name, query) for name, query in dashboard.variables)]},
        "panels": list(_placed(dashboard.panels)),
    }


def _variable(name: str, query: str) -> dict[str, Any]:
    return {
        "name": name,
        "type": "query",
        "datasource": _SOURCE,
        "query": {"query": query, "refId": name},
        "definition": query,
        # On every change of the time range: models come and go.
        "refresh": 2,
        "sort": 1,
    }


_SOURCE = {"type": "prometheus", "uid": "${datasource}"}


def _placed(panels: Iterable[Panel]) -> Iterable[dict[str, Any]]:
    """Fill rows from left to right; a row is as high as its highest panel."""
    column, row, height = 0, 0, 0
    for number, panel in enumerate(panels, start=1):
        if column + panel.width > _WIDTH:
            column, row, height = 0, row + height, 0
        yield _panel(panel, number, {"x": column, "y": row, "w": panel.width, "h": panel.height})
        column, height = column + panel.width, max(height, panel.height)


def _panel(panel: Panel, number: int, place: dict[str, int]) -> dict[str, Any]:
    floor = {"min": panel.floor} if panel.floor is not None else {}
    steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
    if panel.alarm is not None:
        steps.append({"color": "red", "value": panel.alarm})
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": _SOURCE,
        "gridPos": place,
        "fieldConfig": {
            "defaults": {"unit": panel.unit, **floor, "thresholds": {"mode": "absolute", "steps": steps}},
            "overrides": [],
        },
        "targets": [
            {
                "refId": chr(ord("A") + index),
                "datasource": _SOURCE,
                "expr": query.expression,
                "legendFormat": query.legend or "__auto",
            }
            for index, query in enumerate(panel.queries)
        ],
    }
