"""What a person sees while waiting: one line at a time, with the time passed and the time left."""

from __future__ import annotations

import time

import pytest

from tools import test as runner
from tools.cluster import progress
from tools.cluster.progress import step


@pytest.mark.parametrize(
    ("passed", "expected", "text"),
    [(20, None, "20 s so far"), (20, 60, "20 s so far, about 40 s left"), (80, 60, "80 s so far")],
)
def test_the_time_left_is_told_where_it_is_known(passed: float, expected: float | None, text: str) -> None:
    assert progress.progress(passed, expected) == text


def test_only_the_innermost_step_reports(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(progress, "HEARTBEAT_SECONDS", 0.01)
    with step("outer"):
        with step("inner"):
            time.sleep(0.1)
            during = capsys.readouterr().err
        capsys.readouterr()
        time.sleep(0.1)
        after = capsys.readouterr().err

    assert "inner: 0 s so far" in during
    assert "outer: " not in during
    assert "outer: 0 s so far" in after
    assert "inner" not in after


def test_the_suites_left_are_timed_by_their_last_run() -> None:
    unit, golden, *_ = runner.FAST

    assert runner.remaining([unit, golden], {"unit": 30.0, "golden": 2.0}) == 32.0
    assert runner.remaining([unit, golden], {"unit": 30.0}) is None
    assert runner.header("[1/2]", unit, 32.0).startswith("=== [1/2] unit, about 32 s left ===")
