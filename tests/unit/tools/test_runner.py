"""What `make test` says about the suites that are left."""

from __future__ import annotations

from tools import test as runner


def test_the_suites_left_are_timed_by_their_last_run() -> None:
    unit, golden, *_ = runner.FAST

    assert runner.remaining([unit, golden], {"unit": 30.0, "golden": 2.0}) == 32.0
    assert runner.remaining([unit, golden], {"unit": 30.0}) is None
    assert runner.header("[1/2]", unit, 32.0).startswith("=== [1/2] unit, about 32 s left ===")
