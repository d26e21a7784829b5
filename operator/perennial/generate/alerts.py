"""Alerts of the chart's PrometheusRule, with their runbooks: the source of the rules and of the reference page.

Every replica serves the gauges of resources, so each expression takes the maximum over replicas.
"""

from dataclasses import dataclass
from typing import Any, Literal

from perennial.generate.text import MARK, to_yaml

RULES = "charts/perennial/files/alerts.yaml"
GROUP = "perennial"
_BY = "by (namespace, name)"

_UNSETTLED = "perennial_unsettled_children_total"
_MONITORS = 'perennial_resource_ready{kind="DriftMonitor"}'
_SUSPENDED = 'max_over_time(perennial_resource_suspended{kind="DriftMonitor"}[2d])'
_VERDICT = f"max {_BY} (perennial_drift_verdict_timestamp_seconds)"

Severity = Literal["critical", "warning", "info"]


@dataclass(frozen=True)
class Alert:
    """One alert."""

    name: str
    expression: str
    pending: str
    """How long the expression must hold."""
    severity: Severity
    summary: str
    meaning: str
    steps: tuple[str, ...]


_WHY = "Run `kubectl perennial why` for the resource: it names the first cause and the next step."

ALERTS: tuple[Alert, ...] = (
    Alert(
        "PerennialNoLeader",
        "absent(perennial_leader == 1)",
        "2m",
        "critical",
        "No replica of the operator leads: nothing is reconciled.",
        "Running trainings and model servers continue, but nothing is started, rolled out, or repaired. With leader "
        "election off, every replica reports itself as the leader.",
        (
            "Look at the operator's pods: `kubectl get pods -n perennial-system`.",
            "Look for `lease` in their logs: the API server may be slow, or the right on `leases` may be missing.",
        ),
    ),
    Alert(
        "PerennialAuditLate",
        "max(perennial_audit_oldest_seconds) > 900",
        "5m",
        "warning",
        "Entries have waited for 15 minutes to be written to the audit log.",
        "They are kept in the cluster, so none is lost yet. When the outbox is full, later facts are not recorded.",
        (
            "Look in the operator's log for `did not append to the audit log`: it names the reason.",
            "Look at the pod, if there is one: `kubectl get pods -n perennial-system -l perennial.dev/audit=append`.",
            "If the log is broken, verify it as the page about the audit log says; nothing is written behind a break.",
        ),
    ),
    Alert(
        "PerennialAuditDropped",
        "increase(perennial_audit_dropped_total[1h]) > 0",
        "0m",
        "critical",
        "Facts were not recorded in the audit log, because its outbox is full.",
        "Trainings and rollouts go on. The log will hold an entry EntriesDropped that says how many are missing.",
        ("Repair what keeps entries from being written: see PerennialAuditLate.",),
    ),
    Alert(
        "PerennialResyncLate",
        "time() - max(perennial_last_resync_timestamp_seconds) > 900",
        "5m",
        "warning",
        "The operator has not listed its resources for 15 minutes.",
        "Deletions that a watch has missed are not found.",
        (
            "Look in the operator's log for failed lists.",
            "Check that the API server answers: `kubectl get --raw /readyz`.",
        ),
    ),
    Alert(
        "PerennialReconcileErrors",
        'sum by (kind) (rate(perennial_reconciles_total{result="error"}[10m])) > 0',
        "15m",
        "warning",
        "Reconciles of {{ $labels.kind }} fail.",
        "The affected resources are retried with growing delays; others go on.",
        ("The operator's log names the resource in `object`.", "An error of the API server shows as an Event as well."),
    ),
    Alert(
        "PerennialQueueLong",
        "max(perennial_queue_depth) > 1000",
        "10m",
        "warning",
        "More than 1,000 resources wait for the operator.",
        "Changes take effect late.",
        (
            "Raise `config.queue.workers`, or `config.queue.writesPerSecond` if it is set.",
            "Check the duration of writes in the dashboard: a slow API server shows there.",
        ),
    ),
    Alert(
        "PerennialUnsettledChildren",
        # A fight is counted once, and a counter appears with its first count, in which increase() sees no increase.
        f"sum by (kind) (increase({_UNSETTLED}[1h])) > 0 "
        f"or sum by (kind) ({_UNSETTLED} unless {_UNSETTLED} offset 1h) > 0",
        "0m",
        "warning",
        "Another controller undoes the operator's changes of {{ $labels.kind }}.",
        "The two write against each other; the operator backs off.",
        ("`kubectl get <kind> <name> -o yaml --show-managed-fields` shows who else writes the fields.",),
    ),
    Alert(
        "PerennialResourceStalled",
        "max by (kind, namespace, name) (perennial_resource_stalled) == 1",
        "5m",
        "warning",
        "{{ $labels.kind }} {{ $labels.namespace }}/{{ $labels.name }} waits for a person to act.",
        "Its condition Stalled is True: the spec cannot work as it is.",
        (_WHY, "All reasons with their next step: [Condition reasons](reasons.md)."),
    ),
    Alert(
        "PerennialModelDown",
        f"max {_BY} (perennial_model_replicas) > 0 and max {_BY} (perennial_model_ready_replicas) == 0",
        "2m",
        "critical",
        "No pod of model {{ $labels.namespace }}/{{ $labels.name }} is ready.",
        "Requests to the model fail.",
        (_WHY, "`kubectl perennial rollback` returns to the previous revision while its pods are kept."),
    ),
    Alert(
        "PerennialRolloutFailed",
        f"max {_BY} (perennial_model_rollout_failed) == 1",
        "0m",
        "warning",
        "The newest revision of model {{ $labels.namespace }}/{{ $labels.name }} was not rolled out.",
        "The stable revision keeps serving.",
        (_WHY, "After the cause is gone: `kubectl perennial retry`."),
    ),
    Alert(
        "PerennialTrainingFailed",
        f"max {_BY} (perennial_training_failed) == 1",
        "0m",
        "warning",
        "The newest run of TrainingJob {{ $labels.namespace }}/{{ $labels.name }} failed or was rejected.",
        "The last accepted artifact stays in use.",
        (_WHY, "`kubectl perennial logs` shows what the run wrote; `kubectl perennial retrain` starts another."),
    ),
    Alert(
        "PerennialModelDrifts",
        f"max {_BY} (perennial_drift_detected) == 1",
        "0m",
        "warning",
        "The requests to the model of DriftMonitor {{ $labels.namespace }}/{{ $labels.name }} have drifted.",
        "The share of drifted columns has reached `checks.drift.share`.",
        (
            "`kubectl perennial report` opens the report, which shows the columns.",
            "Retrain on newer data if no retraining is configured: `kubectl perennial retrain`.",
        ),
    ),
    Alert(
        "PerennialModelDegraded",
        f"max {_BY} (perennial_model_degraded) == 1",
        "0m",
        "critical",
        "A performance check of DriftMonitor {{ $labels.namespace }}/{{ $labels.name }} has failed.",
        "Measured on labelled predictions, the model is worse than allowed.",
        ("`kubectl perennial report` shows the metrics with their intervals.", "Retrain or roll back."),
    ),
    Alert(
        "PerennialModelUnfair",
        f"max {_BY} (perennial_model_unfair) == 1",
        "0m",
        "critical",
        "A fairness check of DriftMonitor {{ $labels.namespace }}/{{ $labels.name }} has failed.",
        "Groups are treated more differently than allowed.",
        (
            "`kubectl perennial report` shows the groups with their sizes and intervals.",
            "Decide with the owner of the model whether it may go on serving; `spec.model` sets an earlier version.",
        ),
    ),
    Alert(
        "PerennialVerdictLate",
        # The second part finds monitors that are two days old and have never had a verdict. A monitor that was
        # suspended has two days for its next one.
        f"(time() - {_VERDICT} > 172800 "
        f"or max {_BY} ({_MONITORS} offset 2d) and max {_BY} ({_MONITORS}) unless {_VERDICT}) "
        f"unless max {_BY} ({_SUSPENDED}) == 1",
        "0m",
        "info",
        "DriftMonitor {{ $labels.namespace }}/{{ $labels.name }} has had no verdict for two days.",
        "Nobody knows whether the model has drifted. Raise the limit for monitors that compare less often.",
        (_WHY, "A monitor that is or was suspended (`spec.suspend`) within two days does not fire."),
    ),
)


def rules() -> str:
    """Render the groups of the PrometheusRule."""
    found = {"groups": [{"name": GROUP, "rules": [_rule(alert) for alert in ALERTS]}]}
    return f"# {MARK}\n{to_yaml(found)}"


def _rule(alert: Alert) -> dict[str, Any]:
    return {
        "alert": alert.name,
        "expr": alert.expression,
        "for": alert.pending,
        "labels": {"severity": alert.severity},
        "annotations": {"summary": alert.summary, "description": alert.meaning},
    }


def anchor(alert: Alert) -> str:
    """Anchor of the runbook on the reference page, as GitHub and most renderers make it."""
    return alert.name.lower()
