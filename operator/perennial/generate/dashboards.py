"""Grafana dashboards of the chart: tables of panels, rendered as the JSON that Grafana imports.

They are code, so that a test can hold each query to the metrics that exist.
"""

import json
from collections.abc import Iterable
from typing import Any

from perennial.generate.panels import Dashboard, Panel, Query
from perennial.generate.presets import PRESETS
from perennial.generate.traffic_panels import traffic_panels

FOLDER = "charts/perennial/files/dashboards"
_SCHEMA_VERSION = 39
_WIDTH = 24
"""Columns of Grafana's grid."""


_ONE = 'namespace="$namespace", name="$name"'


def _of(metric: str, by: str = "", more: str = "") -> str:
    """The maximum over replicas of a gauge of the chosen model."""
    return f"max {by} ({metric}{{{_ONE}{more}}})" if by else f"max ({metric}{{{_ONE}{more}}})"


FLEET = Dashboard(
    "perennial-fleet",
    "Perennial / Fleet",
    (
        Panel(
            "Models without a ready pod",
            "stat",
            (
                Query(
                    "count((max by (namespace, name) (perennial_model_replicas) > 0) and "
                    "(max by (namespace, name) (perennial_model_ready_replicas) == 0)) or vector(0)"
                ),
            ),
            "ModelDeployments that should serve and do not.",
            6,
            4,
            alarm=1,
        ),
        Panel(
            "Waiting for a person",
            "stat",
            (Query("count(max by (kind, namespace, name) (perennial_resource_stalled) == 1) or vector(0)"),),
            "Resources whose condition Stalled is True.",
            6,
            4,
            alarm=1,
        ),
        Panel(
            "Drifting models",
            "stat",
            (Query("count(max by (namespace, name) (perennial_drift_detected) == 1) or vector(0)"),),
            "DriftMonitors whose newest verdict is drift.",
            6,
            4,
            alarm=1,
        ),
        Panel(
            "Unfair or degraded models",
            "stat",
            (
                Query(
                    "count(max by (namespace, name) (perennial_model_unfair) == 1 or "
                    "max by (namespace, name) (perennial_model_degraded) == 1) or vector(0)"
                ),
            ),
            "DriftMonitors with a failed fairness or performance check.",
            6,
            4,
            alarm=1,
        ),
        Panel(
            "Runs in progress",
            "timeseries",
            (Query("sum(max by (namespace, name) (perennial_training_running))", "running"),),
            "TrainingJobs with a run in progress.",
        ),
        Panel(
            "Rollouts",
            "timeseries",
            (
                Query("sum(max by (namespace, name) (perennial_model_progressing))", "in progress"),
                Query("sum(max by (namespace, name) (perennial_model_rollout_failed))", "failed"),
            ),
            "ModelDeployments that roll out a revision, and whose newest revision failed.",
        ),
        Panel(
            "Share of drifted columns",
            "timeseries",
            (Query("topk(10, max by (namespace, name) (perennial_drift_share))", "{{namespace}}/{{name}}"),),
            "The ten monitors with the largest share.",
            unit="percentunit",
        ),
        Panel(
            "Reconciles",
            "timeseries",
            (Query("sum by (kind, result) (rate(perennial_reconciles_total[5m]))", "{{kind}} {{result}}"),),
            "Reconciles a second, by kind and result.",
            unit="ops",
        ),
        Panel(
            "Time in the queue",
            "timeseries",
            tuple(
                Query(f"histogram_quantile({share}, sum by (le) (rate(perennial_queue_wait_seconds_bucket[5m])))", name)
                for share, name in ((0.5, "median"), (0.99, "99 %"))
            ),
            "Time that a resource waits for a worker of the operator.",
            unit="s",
        ),
        Panel(
            "Writes to the API server",
            "timeseries",
            (Query("sum by (kind, code) (rate(perennial_writes_total[5m]))", "{{kind}} {{code}}"),),
            "Writes a second, by kind and status code. At rest there are none.",
            unit="ops",
        ),
    ),
)

MODEL = Dashboard(
    "perennial-model",
    "Perennial / Model",
    (
        Panel("Ready pods", "stat", (Query(_of("perennial_model_ready_replicas")),), "Of the stable revision.", 6, 4),
        Panel(
            "Rollout failed",
            "stat",
            (Query(_of("perennial_model_rollout_failed")),),
            "1 if the newest revision has failed.",
            6,
            4,
            alarm=1,
        ),
        Panel(
            "Drift",
            "stat",
            (Query(_of("perennial_drift_detected")),),
            "1 while the newest verdict finds drift.",
            6,
            4,
            alarm=1,
        ),
        Panel(
            "Age of the verdict",
            "stat",
            (Query(f"time() - {_of('perennial_drift_verdict_timestamp_seconds')}"),),
            "Time since the newest comparison.",
            6,
            4,
            unit="s",
        ),
        Panel(
            "Pods",
            "timeseries",
            (
                Query(_of("perennial_model_ready_replicas"), "ready"),
                Query(_of("perennial_model_replicas"), "wanted"),
            ),
            "Pods of the stable revision.",
        ),
        Panel(
            "Traffic to the candidate",
            "timeseries",
            (
                Query(_of("perennial_model_candidate_weight"), "wanted"),
                Query(_of("perennial_model_candidate_reached_weight"), "reached"),
            ),
            "Percentage of the requests during a canary.",
            unit="percent",
        ),
        *traffic_panels(PRESETS),
        Panel(
            "Runs",
            "timeseries",
            (
                Query(_of("perennial_training_running"), "in progress"),
                Query(f"changes({_of('perennial_training_runs')}[1d:1m])", "started within a day"),
            ),
            "Runs of the TrainingJob of the same name.",
        ),
        Panel(
            "Metrics of the artifact",
            "timeseries",
            (Query(_of("perennial_artifact_metric", "by (metric)"), "{{metric}}"),),
            "Metrics that the training code has written for the accepted artifact.",
            floor=None,
        ),
        Panel(
            "Share of drifted columns",
            "timeseries",
            (Query(_of("perennial_drift_share"), "share"),),
            "Of the columns that were compared.",
            unit="percentunit",
        ),
        Panel(
            "Columns with the most drift",
            "timeseries",
            (Query(_of("perennial_drift_score", "by (feature, method)"), "{{feature}} ({{method}})"),),
            "Scores of the columns with the most drift; a lower p-value of ks and chi2 means more drift.",
        ),
        Panel(
            "Performance and fairness",
            "timeseries",
            (Query(_of("perennial_model_score", "by (check, metric, subject)"), "{{check}} {{metric}} {{subject}}"),),
            "Values of the monitor's checks.",
            floor=None,
        ),
        Panel(
            "Labelled predictions",
            "timeseries",
            (Query(_of("perennial_label_coverage"), "share"),),
            "Share of predictions that have a label.",
            unit="percentunit",
        ),
    ),
    (
        ("namespace", "label_values(perennial_resource_ready, namespace)"),
        ("name", 'label_values(perennial_resource_ready{namespace="$namespace"}, name)'),
    ),
)

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
