"""Generates docs/reference from the models and tables that the operator itself uses."""

import json
from collections.abc import Iterable
from inspect import get_annotations

from perennial.api.common.base import Model
from perennial.core import failures
from perennial.core.reasons import ReasonDoc
from perennial.drift.reasons import REASONS as DRIFT
from perennial.generate import rbac
from perennial.generate.alerts import ALERTS
from perennial.generate.crd import DEFINITIONS, Definition, root_schema
from perennial.generate.fields import field_table, rule_table
from perennial.generate.markdown import code, page, table
from perennial.generate.metrics import Metric, operator_metrics, resource_metrics
from perennial.generate.structural import Schema
from perennial.generate.values import Values
from perennial.generate.valuesfiles import plain, schema_of_values
from perennial.runtime.controller.error_conditions import REASONS as RUNTIME
from perennial.serving.reasons import REASONS as SERVING
from perennial.training.reasons import REASONS as TRAINING

FOLDER = "docs/reference"

REASONS: dict[str, tuple[ReasonDoc, ...]] = {
    "Every resource": RUNTIME,
    "TrainingJob": TRAINING,
    "ModelDeployment": SERVING,
    "DriftMonitor": DRIFT,
}
"""Tables of reasons, by the heading of their section."""


def reference_files() -> dict[str, str]:
    """Return the Markdown of every reference page, by its path in the repository."""
    pages = {
        "README": _index(),
        **{item.kind.kind.lower(): _resource(item) for item in DEFINITIONS},
        "reasons": _reasons(),
        "exit-codes": _exit_codes(),
        "metrics": _metrics(),
        "alerts": _alerts(),
        "permissions": _permissions(),
        "values": _values(),
    }
    return {f"{FOLDER}/{name}.md": text for name, text in pages.items()}


def _index() -> str:
    resources = "\n".join(
        f"- [{item.kind.kind}]({item.kind.kind.lower()}.md): {_summary(root_schema(item.model))}"
        for item in DEFINITIONS
    )
    return page(
        "Reference",
        resources,
        "- [Reasons](reasons.md): every reason of a condition or an Event, and what to do about it\n"
        "- [Exit codes](exit-codes.md): exit codes of the agent's containers\n"
        "- [Metrics](metrics.md): Prometheus metrics of the operator and of resources\n"
        "- [Alerts](alerts.md): alerts of the chart, each with its runbook\n"
        "- [Permissions](permissions.md): RBAC rights of the operator and of users\n"
        "- [Values](values.md): values of the Helm chart\n"
        "- [Report schema](report.schema.json): JSON Schema of a DriftMonitor's `report.json`\n"
        "- [Drift statistics](../statistics.md): definitions of every measure, threshold and interval\n"
        "- [Performance](../performance.md): measured throughput, latency and memory",
    )


def _summary(schema: Schema) -> str:
    text = str(schema["description"])
    return text[:1].lower() + text[1:]


def _resource(item: Definition) -> str:
    kind, schema = item.kind, root_schema(item.model)
    spec, status = own_first(spec_of(item), schema["properties"]["spec"]), schema["properties"]["status"]
    names = f"`kubectl get {kind.plural}`, short name `{item.short_name}`, categories `perennial` and `ml`."
    scale = "\n`kubectl scale` writes `spec.replicas.min`." if item.scale else ""
    return page(
        kind.kind,
        str(schema["description"]),
        f"API version `{kind.api_version}`; {names}{scale}\n"
        f"In a terminal: `kubectl explain {kind.plural}.spec --recursive`.",
        "## Spec",
        field_table(spec, "spec"),
        "## Rules",
        "The API server rejects a resource that violates one of these rules, with this message.",
        rule_table({**schema, "properties": {"spec": spec}}, ""),
        "## Status",
        "Written by the operator only. [Reasons](reasons.md) explains the conditions.",
        field_table(status, "status"),
    )


def spec_of(item: Definition) -> type[Model]:
    """Return the model of a resource's spec.

    Raises:
        TypeError: the spec is not a model.
    """
    spec = item.model.model_fields["spec"].annotation
    if not (isinstance(spec, type) and issubclass(spec, Model)):
        raise TypeError(f"the spec of {item.kind.kind} must be a model, not {spec}")
    return spec


def own_first(model: type[Model], schema: Schema) -> Schema:
    """Order the fields as a user writes them: those of the model itself, then those of each base, nearest first.

    Pydantic lists inherited fields first, so a page would begin with the options that all pods share.
    """
    rank: dict[str, int] = {}
    for depth, base in enumerate(model.__mro__):
        for name in get_annotations(base):
            if name in model.model_fields:
                rank.setdefault(model.model_fields[name].alias or name, depth)
    return {**schema, "properties": dict(sorted(schema["properties"].items(), key=lambda item: rank[item[0]]))}


def _reasons() -> str:
    head = ("Reason", "Condition or Event", "Meaning", "Next step")
    sections = [
        part
        for title, reasons in REASONS.items()
        for part in (
            f"## {title}",
            table(head, ((code(i.reason), i.condition, i.meaning, i.next_step) for i in reasons)),
        )
    ]
    return page(
        "Reasons",
        "Every condition and Event has a reason from these tables. The message beside it describes the specific case "
        "and the next step. `kubectl describe` shows both.\n"
        "`Ready` is always present. `Reconciling` is true while the operator works, `Stalled` if a person must act; "
        "they are never both true. If a container of the agent fails, the reason is that of its "
        "[exit code](exit-codes.md).",
        *sections,
    )


def _exit_codes() -> str:
    rows = (
        (code(str(item.code)), code(item.reason), "yes" if item.retriable else "no", item.next_step)
        for item in failures.TABLE
    )
    return page(
        "Exit codes of the agent",
        "`perennial agent fetch`, `publish`, `capture`, `poll`, `drift`, `evaluate`, `replay`, `show`, `trace`, "
        "`evidence` and `audit` exit with 0 or one of these codes. The operator shows the reason in a condition, "
        "together with the agent's termination message.",
        table(("Code", "Reason", "Retried", "Next step"), rows),
    )


def _metrics() -> str:
    return page(
        "Metrics",
        "The operator serves these at `/metrics`, in the Prometheus text format.",
        "## Operator",
        _metric_table(operator_metrics()),
        "## Resources",
        "Every replica serves these, leader or standby: they show the status of the resources.",
        _metric_table(resource_metrics()),
    )


def _metric_table(metrics: Iterable[Metric]) -> str:
    rows = ((code(item.name), item.type, ", ".join(map(code, item.labels)), item.help) for item in metrics)
    return table(("Metric", "Type", "Labels", "Meaning"), rows)


def _alerts() -> str:
    parts = (
        part
        for alert in ALERTS
        for part in (
            f"## {alert.name}",
            f"{code(alert.expression)} for {alert.pending}, severity {alert.severity}.",
            alert.meaning,
            "\n".join(f"{number}. {step}" for number, step in enumerate(alert.steps, start=1)),
        )
    )
    return page(
        "Alerts",
        "`metrics.prometheusRule.enabled` creates these alerts for the Prometheus Operator. The text of each section "
        "is its runbook; `metrics.prometheusRule.runbookUrl` links alerts to it.",
        *parts,
    )


def _permissions() -> str:
    return page(
        "Permissions",
        "The operator has no rights on Secrets and on users' ConfigMaps, cannot execute commands in pods, and cannot "
        "grant rights. With `config.watchNamespaces` it has the rights below in the listed namespaces only.",
        "## Operator",
        _rights(rbac.OPERATOR),
        "## Operator, in its own namespace",
        _rights(rbac.LEADER_ELECTION),
        "## Operator, in its own namespace, with an audit log",
        "Only if `config.audit.uri` is set.",
        _rights(rbac.AUDIT),
        "## Users",
        "Added to the cluster roles `view`, `edit` and `admin` unless `rbac.aggregate` is false.",
        "### view",
        _rights(rbac.VIEWER),
        "### edit and admin, in addition",
        _rights(rbac.EDITOR),
        "### perennial-approve",
        "A ClusterRole of its own, also added to `admin`; see [Who may do what](../how-to/who-may-do-what.md).",
        _rights(rbac.APPROVER),
    )


def _rights(rights: tuple[rbac.Right, ...]) -> str:
    rows = (
        (code(right.group or "core"), ", ".join(map(code, right.resources)), ", ".join(right.verbs), right.reason)
        for right in rights
    )
    return table(("API group", "Resources", "Verbs", "Purpose"), rows)


def _values() -> str:
    return page(
        "Helm values",
        "Values of the chart `charts/perennial`. Helm rejects unknown values. Everything below `config` becomes the "
        "operator's configuration file.",
        field_table(with_defaults(schema_of_values(), Values().dump()), ""),
    )


def with_defaults(schema: Schema, defaults: object) -> Schema:
    """Copy the defaults of a document into the scalar and list fields of its schema."""
    if "properties" not in schema or not isinstance(defaults, dict):
        shown = json.loads(json.dumps(plain(defaults)))
        return schema if shown in (None, "", [], {}) or isinstance(shown, dict) else {**schema, "default": shown}
    known = {name: with_defaults(item, defaults.get(name)) for name, item in schema["properties"].items()}
    return {**schema, "properties": known}
