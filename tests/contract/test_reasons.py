"""Every reason in the golden cases is documented in the reference."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from perennial.core import failures
from perennial.generate.reference import REASONS
from tests.contract.server import ROOT, load

CONTROLLERS = {"training": "TrainingJob", "serving": "ModelDeployment", "drift": "DriftMonitor"}
CASES = sorted((ROOT / "tests" / "golden").glob("*/*.yaml"))
AGENT = {item.reason for item in failures.TABLE}


def documented(kind: str) -> set[str]:
    return {item.reason for title in ("Every resource", kind) for item in REASONS[title]} | AGENT


def given(case: Any) -> Iterator[str]:
    expected = case.get("expect") or {}
    for condition in (expected.get("status") or {}).get("conditions") or ():
        yield condition["reason"]
    for event in expected.get("events") or ():
        yield event.split(":")[0].split()[-1]  # "Normal RunStarted: run churn-1 starts"


@pytest.mark.parametrize("path", CASES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_reasons_of_reviewed_cases_are_documented(path: Path) -> None:
    assert set(given(load(path))) <= documented(CONTROLLERS[path.parent.name])


def test_the_cases_give_reasons_at_all() -> None:
    assert len({reason for path in CASES for reason in given(load(path))}) > 20


@pytest.mark.parametrize("title", REASONS)
def test_every_reason_is_documented_once_and_has_a_next_step(title: str) -> None:
    reasons = REASONS[title]

    assert len({item.reason for item in reasons}) == len(reasons)
    assert all(item.meaning and item.next_step and item.condition for item in reasons)
