"""The command line: results on standard output, explanations on standard error, honest exit codes."""

import json
from pathlib import Path

import pytest

from tools.cluster import cli, teardown
from tools.cluster.errors import ClusterError


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def test_a_failure_is_explained_and_exits_with_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["kubeconfig", "--name", "nope"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "error: cluster nope: no such cluster" in captured.err
    assert "up --name nope" in captured.err
    assert "Traceback" not in captured.err


def test_somebody_who_is_not_root_learns_it_first(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert cli.main(["up"]) == 1
    assert "needs root" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_status_of_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["status"]) == 0
    assert capsys.readouterr().out == "no clusters\n"


def test_status_of_one_that_is_not_there_fails_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["status", "--name", "nope", "-o", "json"]) == 1
    (found,) = json.loads(capsys.readouterr().out)
    assert (found["name"], found["state"]) == ("nope", "absent")


def test_an_interruption_has_its_own_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_name: str) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr(teardown, "down", interrupted)
    assert cli.main(["down"]) == cli.INTERRUPTED


def test_down_goes_on_after_one_that_fails(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a", "b"):
        (tmp_path / "perennial" / "clusters" / name).mkdir(parents=True)
    seen = []

    def down(name: str) -> bool:
        seen.append(name)
        if name == "a":
            raise ClusterError("a is stuck")
        return True

    monkeypatch.setattr(teardown, "down", down)
    assert cli.main(["down", "--all"]) == 1
    assert seen == ["a", "b"]
    assert "a is stuck" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["frobnicate"], ["load-image"], ["up", "--nodes", "many"]])
def test_wrong_usage_exits_with_two(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as error:
        cli.main(arguments)
    assert error.value.code == 2
