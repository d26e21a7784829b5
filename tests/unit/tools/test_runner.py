"""What `make test` says about the suites that are left."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools import test as runner

REPORT = """<testsuites><testsuite tests="4" failures="1" errors="2" skipped="0">
<testcase classname="tests.e2e.test_steps" name="test_good"/>
<testcase classname="tests.e2e.test_loop" name="test_slow"><failure/></testcase>
<testcase classname="tests.e2e.test_loop.TestClass" name="test_slow"><error/></testcase>
<testcase classname="" name="tests.e2e.test_broken"><error/></testcase>
</testsuite></testsuites>"""
BLAMED = ("tests/e2e/test_loop.py", "tests/e2e/test_broken.py")
ONE = BLAMED[:1]


def test_the_suites_left_are_timed_by_their_last_run() -> None:
    unit, golden, *_ = runner.FAST

    assert runner.remaining([unit, golden], {"unit": 30.0, "golden": 2.0}) == 32.0
    assert runner.remaining([unit, golden], {"unit": 30.0}) is None
    assert runner.header("[1/2]", unit, 32.0).startswith("=== [1/2] unit, about 32 s left ===")


def test_a_report_names_the_modules_that_failed(tmp_path: Path) -> None:
    (tmp_path / "report.xml").write_text(REPORT)

    assert runner.read_counts(tmp_path / "report.xml") == runner.Counts(1, 3, 0, blamed=BLAMED)


@pytest.mark.parametrize(
    ("first", "second", "wanted"),
    [
        pytest.param(
            runner.Counts(7, 1, 0, blamed=ONE), runner.Counts(3), runner.Counts(8, 0, 0, unsteady=ONE), id="passes"
        ),
        pytest.param(
            runner.Counts(7, 1, 0, blamed=ONE),
            runner.Counts(2, 1, blamed=ONE),
            runner.Counts(7, 1, 0, blamed=ONE),
            id="fails again",
        ),
        pytest.param(
            runner.Counts(7, 1, 0, blamed=ONE), runner.Counts(), runner.Counts(7, 1, 0, blamed=ONE), id="does not run"
        ),
    ],
)
def test_a_module_that_passes_alone_is_named_as_unsteady(
    monkeypatch: pytest.MonkeyPatch, first: runner.Counts, second: runner.Counts, wanted: runner.Counts
) -> None:
    assert ran(monkeypatch, first, second) == (wanted, [("tests/e2e",), ONE])


def test_many_failed_modules_do_not_run_again(monkeypatch: pytest.MonkeyPatch) -> None:
    many = runner.Counts(7, 3, blamed=("a.py", "b.py", "c.py"))

    assert ran(monkeypatch, many) == (many, [("tests/e2e",)])


def ran(monkeypatch: pytest.MonkeyPatch, *ends: runner.Counts) -> tuple[runner.Counts, list[tuple[str, ...]]]:
    """Return the counts of the e2e suite, each run of which ends in a given way, and the paths of each run."""
    paths, left = list[tuple[str, ...]](), list(ends)

    def once(suite: runner.Suite, _: list[str]) -> runner.Counts:
        paths.append(suite.paths)
        return left.pop(0)

    monkeypatch.setattr(runner, "missing", lambda _: None)
    monkeypatch.setattr(runner, "build", lambda _: True)
    monkeypatch.setattr(runner, "once", once)
    return runner.run(runner.SUITES["e2e"], []), paths
