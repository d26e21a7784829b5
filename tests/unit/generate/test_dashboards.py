"""Dashboards and alerts ask for metrics and labels that exist, in PromQL that parses."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import pairwise

import promql_parser
import pytest
import yaml

from perennial.generate.alerts import ALERTS, Alert, rules
from perennial.generate.dashboards import DASHBOARDS, Dashboard, dashboard_files, render
from perennial.generate.metrics import operator_metrics, resource_metrics
from perennial.generate.presets import PRESETS
from perennial.generate.reference import reference_files

KNOWN = {metric.name: {*metric.labels} for metric in (*operator_metrics(), *resource_metrics())}
_SUFFIX = re.compile(r"_(bucket|sum|count)$")
_SELECTOR = re.compile(r"(perennial_\w+)(?:\{([^}]*)\})?")
_BY = re.compile(r"by \(([^)]*)\)")


TRAFFIC = ("Requests", "Errors", "Latency")
"""Panels of series that model servers have, not the operator."""


def queries() -> Iterator[str]:
    for dashboard in DASHBOARDS:
        panels = (panel for panel in dashboard.panels if panel.title not in TRAFFIC)
        yield from (query.expression for panel in panels for query in panel.queries)
    yield from (alert.expression for alert in ALERTS)


@pytest.mark.parametrize("expression", sorted(set(queries())))
def test_a_query_parses_and_its_metrics_and_labels_exist(expression: str) -> None:
    promql_parser.parse(expression.replace("$namespace", "team").replace("$name", "churn"))
    names = [
        _SUFFIX.sub("", name) if _SUFFIX.sub("", name) in KNOWN else name for name, _ in _SELECTOR.findall(expression)
    ]
    assert names
    assert set(names) <= set(KNOWN)
    labels = {label for name in names for label in KNOWN[name]}
    matched = {
        re.split("[!=]", part)[0].strip()
        for _, inside in _SELECTOR.findall(expression)
        for part in inside.split(",")
        if part
    }
    grouped = {label.strip() for group in _BY.findall(expression) for label in group.split(",")} - {"le"}
    assert matched | grouped <= labels


def test_traffic_is_asked_by_the_series_of_the_presets() -> None:
    panels = [panel for dashboard in DASHBOARDS for panel in dashboard.panels if panel.title in TRAFFIC]
    assert [panel.title for panel in panels] == list(TRAFFIC)
    known = {
        series.metric
        for preset in PRESETS.values()
        if preset.traffic is not None
        for group in (preset.traffic.requests, preset.traffic.errors, preset.traffic.latency)
        for series in group or ()
    }
    seen = set()
    for query in (query.expression for panel in panels for query in panel.queries):
        promql_parser.parse(query.replace("$namespace", "team").replace("$name", "churn"))
        seen |= set(re.findall(r"rate\(([\w:]+?)(?:_bucket)?\{", query))
        assert 'namespace="$namespace", pod=~"$name-' in query
    assert seen == known


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_an_alert_names_labels_that_its_expression_keeps(alert: Alert) -> None:
    told = set(re.findall(r"\$labels\.(\w+)", alert.summary))
    kept = {label.strip() for group in _BY.findall(alert.expression) for label in group.split(",")}
    assert told <= kept
    assert alert.steps


def test_each_alert_has_a_runbook_on_the_reference_page() -> None:
    page = reference_files()["docs/reference/alerts.md"]
    written = yaml.safe_load(rules())["groups"][0]["rules"]
    assert [rule["alert"] for rule in written] == re.findall(r"^## (\w+)$", page, re.MULTILINE)


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda item: item.uid)
def test_panels_do_not_overlap(dashboard: Dashboard) -> None:
    places = [panel["gridPos"] for panel in render(dashboard)["panels"]]
    cells = [
        (x, y) for at in places for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
    ids = [panel["id"] for panel in render(dashboard)["panels"]]
    assert all(left < right for left, right in pairwise(ids))


def test_files_are_what_grafana_imports() -> None:
    for text in dashboard_files().values():
        made = json.loads(text)
        assert {"uid", "title", "schemaVersion", "templating", "panels"} <= set(made)


def test_values_that_may_be_negative_are_not_cut_off() -> None:
    floors = {
        panel["title"]: panel["fieldConfig"]["defaults"].get("min")
        for dashboard in DASHBOARDS
        for panel in render(dashboard)["panels"]
    }
    assert {title for title, floor in floors.items() if floor is None} == {
        "Metrics of the artifact",
        "Performance and fairness",
    }
    assert {floor for floor in floors.values() if floor is not None} == {0}
