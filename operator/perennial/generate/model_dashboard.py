"""The dashboard of one model: its loop from runs to drift, its traffic, and what it reserves."""

from perennial.generate.panels import Dashboard, Panel, Query
from perennial.generate.presets import PRESETS
from perennial.generate.traffic_panels import traffic_panels

_ONE = 'namespace="$namespace", name="$name"'


def _of(metric: str, by: str = "", more: str = "") -> str:
    """The maximum over replicas of a gauge of the chosen model."""
    return f"max {by} ({metric}{{{_ONE}{more}}})" if by else f"max ({metric}{{{_ONE}{more}}})"


_RESERVED = _of("perennial_reserved", "by (kind, resource)", ', resource!="memory"')

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
        Panel(
            "Reserved cores and devices",
            "timeseries",
            (Query(_RESERVED, "{{kind}} {{resource}}"),),
            "What pods of training, serving and monitoring reserve on nodes: cores of cpu, numbers of devices such as "
            "nvidia.com/gpu.",
        ),
        Panel(
            "Reserved memory",
            "timeseries",
            (Query(_of("perennial_reserved", "by (kind)", ', resource="memory"'), "{{kind}}"),),
            "Memory that pods of training, serving and monitoring reserve on nodes.",
            unit="bytes",
        ),
        Panel(
            "Cost: core-hours and device-hours within a day",
            "timeseries",
            (Query(f"sum_over_time(({_RESERVED})[1d:1m]) / 60", "{{kind}} {{resource}}"),),
            "What was reserved within a day. Multiply by your provider's prices.",
        ),
    ),
    (
        ("namespace", "label_values(perennial_resource_ready, namespace)"),
        ("name", 'label_values(perennial_resource_ready{namespace="$namespace"}, name)'),
    ),
)
