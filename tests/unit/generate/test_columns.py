"""`kubectl get` without `-o wide` fits a terminal of 140 columns, whatever the names and reasons."""

from typing import get_args

import pytest

from perennial.api.driftmonitor.status import Trend
from perennial.drift.reasons import REASONS as DRIFT
from perennial.generate.crd import DEFINITIONS, Column, Definition
from perennial.runtime.controller.error_conditions import REASONS as RUNTIME
from perennial.serving.reasons import REASONS as SERVING
from perennial.training.reasons import REASONS as TRAINING

TERMINAL = 140
GAP = 3
NAMES = {"tj": 63, "md": 63, "dm": 52}
"""A DriftMonitor's name becomes the name of a CronJob, to which Jobs append eleven characters."""
REASONS = {"tj": TRAINING, "md": SERVING, "dm": DRIFT}
WIDTHS = {
    "Ready": len("False"),
    "Drifted": len("Unknown"),
    "Trend": max(map(len, get_args(Trend))),
}
PHASES = {"tj": len("Succeeded"), "md": len("Progressing"), "dm": len("SegmentDeviates")}
BY_TYPE = {"integer": 4, "date": len("5h59m")}


def width(item: Definition, column: Column) -> int:
    reasons = (*REASONS[item.short_name], *RUNTIME)
    longest = max(len(each.reason) for each in reasons if "Ready" in each.condition or "Failed" in each.condition)
    widths = {**WIDTHS, "Phase": PHASES.get(item.short_name, 0), "Reason": longest}
    return max(len(column.name), widths.get(column.name) or BY_TYPE[column.type])


@pytest.mark.parametrize("item", DEFINITIONS, ids=lambda item: item.short_name)
def test_the_default_columns_fit_a_terminal(item: Definition) -> None:
    shown = [width(item, column) for column in item.columns if not column.priority]

    assert NAMES[item.short_name] + sum(GAP + each for each in shown) <= TERMINAL


@pytest.mark.parametrize("item", DEFINITIONS, ids=lambda item: item.short_name)
def test_the_default_columns_tell_the_reason(item: Definition) -> None:
    assert {"Ready", "Reason", "Age"} <= {column.name for column in item.columns if not column.priority}
