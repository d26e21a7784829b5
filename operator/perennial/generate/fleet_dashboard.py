"""The dashboard of all models: what needs a person, what is going on, and what teams reserve."""

from perennial.generate.panels import Dashboard, Panel, Query

_RESERVED = 'max by (namespace, name, kind, resource) (perennial_reserved{resource!="memory"})'
"""Cores and devices. The maximum is over the operator's replicas, each of which serves the same."""

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
        Panel(
            "Reserved cores and devices",
            "timeseries",
            (Query(f"sum by (namespace, resource) ({_RESERVED})", "{{namespace}} {{resource}}"),),
            "What pods of models reserve on nodes, by team: cores of cpu, numbers of devices such as nvidia.com/gpu.",
        ),
        Panel(
            "Reserved memory",
            "timeseries",
            (
                Query(
                    'sum by (namespace) (max by (namespace, name, kind) (perennial_reserved{resource="memory"}))',
                    "{{namespace}}",
                ),
            ),
            "Memory that pods of models reserve on nodes, by team.",
            unit="bytes",
        ),
        Panel(
            "Cost: core-hours and device-hours within a day",
            "timeseries",
            (
                Query(
                    f"sum by (namespace, resource) (sum_over_time(({_RESERVED})[1d:1m])) / 60",
                    "{{namespace}} {{resource}}",
                ),
            ),
            "What was reserved within a day, by team. Multiply by your provider's prices.",
        ),
    ),
)
