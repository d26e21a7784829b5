"""docs/reference: what can be looked up, made from the same models and tables that the code itself uses."""

import json
from collections.abc import Iterable

from perennial.api.common.pod import PodOptions
from perennial.core import failures
from perennial.core.reasons import ReasonDoc
from perennial.drift.reasons import REASONS as DRIFT
from perennial.generate import rbac
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
"""Tables of reasons, by the heading that they stand under."""


def reference_files() -> dict[str, str]:
    """Return the text of every reference page, by path."""
    pages = {
        "README": _index(),
        **{item.kind.kind.lower(): _resource(item) for item in DEFINITIONS},
        "reasons": _reasons(),
        "exit-codes": _exit_codes(),
        "metrics": _metrics(),
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
        "- [Reasons](reasons.md): every reason of a condition or an Event, with the next step\n"
        "- [Exit codes](exit-codes.md): how the agent's containers end\n"
        "- [Metrics](metrics.md)\n"
        "- [Permissions](permissions.md): what the operator and its users may do\n"
        "- [Values](values.md): of the Helm chart",
    )


def _summary(schema: Schema) -> str:
    text = str(schema["description"])
    return text[:1].lower() + text[1:]


def _resource(item: Definition) -> str:
    kind, schema = item.kind, root_schema(item.model)
    spec, status = _own_first(schema["properties"]["spec"]), schema["properties"]["status"]
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
        "The API server refuses what breaks one of them, with these words.",
        rule_table({**schema, "properties": {"spec": spec}}, ""),
        "## Status",
        "Written by the operator only. Conditions are explained in [Reasons](reasons.md).",
        field_table(status, "status"),
    )


def _own_first(spec: Schema) -> Schema:
    """Return the spec with what all pods share behind what is the resource's own."""
    shared = PodOptions.model_json_schema(by_alias=True)["properties"]
    ordered = sorted(spec["properties"].items(), key=lambda item: item[0] in shared)
    return {**spec, "properties": dict(ordered)}


def _reasons() -> str:
    head = ("Reason", "Given by", "Meaning", "Next step")
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
        "Conditions and Events give a reason out of these tables; the message beside it says what is so in this very "
        "case, and what to do. `kubectl describe` shows both.\n"
        "`Ready` is always there. `Reconciling` is true while the operator works, `Stalled` when a person must act, "
        "never both. Where a pod of the agent fails, the reason is that of its [exit code](exit-codes.md).",
        *sections,
    )


def _exit_codes() -> str:
    rows = (
        (code(str(item.code)), code(item.reason), "yes" if item.retriable else "no", item.next_step)
        for item in failures.TABLE
    )
    return page(
        "Exit codes of the agent",
        "`perennial agent fetch`, `publish`, `capture` and `drift` end with 0 or one of these. The operator shows the "
        "reason in a condition, together with what the agent left in its termination message.",
        table(("Code", "Reason", "Tried again", "Next step"), rows),
    )


def _metrics() -> str:
    return page(
        "Metrics",
        "Served by the operator at `/metrics`, in the format of Prometheus.",
        "## Of the operator",
        _metric_table(operator_metrics()),
        "## Of single resources",
        "By the replica that leads, and by those that stand by: each shows what the resources' status says.",
        _metric_table(resource_metrics()),
    )


def _metric_table(metrics: Iterable[Metric]) -> str:
    rows = ((code(item.name), item.type, ", ".join(map(code, item.labels)), item.help) for item in metrics)
    return table(("Metric", "Type", "Labels", "Meaning"), rows)


def _permissions() -> str:
    return page(
        "Permissions",
        "The operator has no right on Secrets or ConfigMaps, none to run commands in pods, and none to give rights. "
        "With `config.watchNamespaces` it has those below in the named namespaces only.",
        "## The operator",
        _rights(rbac.OPERATOR),
        "## The operator, in its own namespace",
        _rights(rbac.LEADER_ELECTION),
        "## Users",
        "Added to the cluster's own roles `view`, `edit` and `admin` unless `rbac.aggregate` is false.",
        "### view",
        _rights(rbac.VIEWER),
        "### edit and admin, in addition",
        _rights(rbac.EDITOR),
    )


def _rights(rights: tuple[rbac.Right, ...]) -> str:
    rows = (
        (code(right.group or "core"), ", ".join(map(code, right.resources)), ", ".join(right.verbs), right.reason)
        for right in rights
    )
    return table(("API group", "Resources", "Verbs", "For"), rows)


def _values() -> str:
    return page(
        "Values of the chart",
        "`helm upgrade --install perennial charts/perennial --namespace perennial-system --create-namespace` takes "
        "these. Unknown ones are refused. All below `config` goes into the operator's configuration file.",
        field_table(with_defaults(schema_of_values(), Values().dump()), ""),
    )


def with_defaults(schema: Schema, defaults: object) -> Schema:
    """Return the schema with the defaults of a document written into its plain fields."""
    if "properties" not in schema or not isinstance(defaults, dict):
        shown = json.loads(json.dumps(plain(defaults)))
        return schema if shown in (None, "", [], {}) or isinstance(shown, dict) else {**schema, "default": shown}
    known = {name: with_defaults(item, defaults.get(name)) for name, item in schema["properties"].items()}
    return {**schema, "properties": known}
