"""Prometheus itself judges the chart's alerts: its `promtool` checks the rules and plays each alert on short series.

One file per alert in data/alerts: the series, and what fires at which time. The tool compares labels and annotations
exactly; what is the same for every instance of an alert (description, runbook) is taken from the rule here.
"""

import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from perennial.generate.metrics import operator_metrics, resource_metrics
from tests.contract.conftest import Rendered
from tests.contract.server import ROOT, dump, load
from tools.cluster import api

DATA = ROOT / "tests" / "contract" / "data" / "alerts"
PAGE = "docs/reference/alerts.md"
VALUES = {"metrics": {"prometheusRule": {"enabled": True, "runbookUrl": f"https://docs.example/{PAGE}"}}}
Rules = Mapping[str, dict[str, Any]]


def promtool(*arguments: str | Path, text: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run promtool, whatever comes of it."""
    command = [str(api.binary("promtool")), *map(str, arguments)]
    return subprocess.run(command, input=text, capture_output=True, text=True, timeout=240, check=False)


@pytest.fixture(scope="session")
def rules_file(chart: Callable[[Any], Rendered], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The rules as the Prometheus Operator hands them on: the spec of the PrometheusRule."""
    (rule,) = [item for item in chart(VALUES) if item["kind"] == "PrometheusRule"]
    path = tmp_path_factory.mktemp("alerts") / "rules.yaml"
    path.write_text(dump([rule["spec"]]))
    return path


@pytest.fixture(scope="session")
def rules(rules_file: Path) -> Rules:
    """The rules by the name of their alert."""
    return {rule["alert"]: rule for group in load(rules_file)["groups"] for rule in group["rules"]}


def test_prometheus_accepts_the_rules_of_the_chart(rules_file: Path, rules: Rules) -> None:
    done = promtool("check", "rules", "--lint=all", "--lint-fatal", rules_file)

    assert done.returncode == 0, done.stdout + done.stderr
    assert f"SUCCESS: {len(rules)} rules found" in done.stdout


def test_every_alert_is_played(rules: Rules) -> None:
    assert {path.stem for path in DATA.iterdir()} == set(rules)


@pytest.mark.parametrize("path", sorted(DATA.iterdir()), ids=lambda path: path.stem)
def test_an_alert_fires_when_it_must_and_else_is_silent(path: Path, rules_file: Path, rules: Rules) -> None:
    found = load(path)
    checks = [check for test in found["tests"] for check in test["alert_rule_test"]]
    assert {bool(check["exp_alerts"]) for check in checks} == {True, False}, "it fires in one check, and in one not"
    file = rules_file.parent / path.name
    file.write_text(dump([_completed(found, path.stem, rules, rules_file)]))

    done = promtool("test", "rules", file)

    assert done.returncode == 0, done.stdout + done.stderr


def _completed(found: Mapping[str, Any], name: str, rules: Rules, rules_file: Path) -> dict[str, Any]:
    """Return what promtool reads, with the parts that all files and all expected alerts share."""
    common = {key: text for key, text in rules[name]["annotations"].items() if key != "summary"}

    def expected(alert: Mapping[str, Any]) -> dict[str, Any]:
        return {**alert, "exp_annotations": {**common, **alert["exp_annotations"]}}

    tests = [
        {
            **test,
            "alert_rule_test": [
                {**check, "alertname": name, "exp_alerts": [expected(alert) for alert in check["exp_alerts"]]}
                for check in test["alert_rule_test"]
            ],
        }
        for test in found["tests"]
    ]
    return {
        "rule_files": [rules_file.name],
        "evaluation_interval": found.get("evaluation_interval", "1m"),
        "tests": tests,
    }


def test_runbooks_are_sections_of_the_page_of_alerts(rules: Rules) -> None:
    anchors = {line[3:].lower() for line in (ROOT / PAGE).read_text().splitlines() if line.startswith("## ")}
    for rule in rules.values():
        page, _, anchor = rule["annotations"]["runbook_url"].partition("#")
        assert (page.endswith(PAGE), anchor in anchors) == (True, True), rule["alert"]


def test_names_of_metrics_follow_the_conventions_of_prometheus() -> None:
    known = (*operator_metrics(), *resource_metrics())
    text = "".join(
        f"# HELP {metric.name} {metric.help}\n# TYPE {metric.name} {metric.type}\n{sample}"
        for metric in known
        for sample in [_sample(metric.name, metric.type)]
    )

    done = promtool("check", "metrics", text=text)

    assert (done.returncode, done.stderr.strip()) == (0, "")


def _sample(name: str, kind: str) -> str:
    if kind == "histogram":
        return f'{name}_bucket{{le="+Inf"}} 1\n{name}_sum 1\n{name}_count 1\n'
    return f"{name} 1\n"
