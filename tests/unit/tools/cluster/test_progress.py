"""What a person sees while waiting: one line at a time, with the time passed and the time left."""

from __future__ import annotations

import time

import pytest

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
