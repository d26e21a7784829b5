"""The progress that code keeps in a file is told as it is, bounded, and never at the cost of the publication."""

from __future__ import annotations

import json
import os
import socket
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from perennial.agent.publish import output
from perennial.agent.publish.output import OutputWatch
from perennial.agent.publish.progress_server import ProgressReader, progress_server
from perennial.agent.storage.errors import AgentError
from perennial.api.contract.messages import MAX_BYTES, MOST_PROGRESS_METRICS, CheckpointState, TrainingProgress
from perennial.core.failures import DATA_INVALID


class Hand:
    """A clock that is moved by hand."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def progress(folder: Path, document: Any, clock: Hand | None = None) -> ProgressReader:
    (folder / "progress.json").write_text(document if isinstance(document, str) else json.dumps(document))
    return ProgressReader(folder / "progress.json", clock or Hand())


def get(port: int | None, path: str = "/progress") -> Any:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
        return json.load(answer)


def test_what_the_code_wrote_is_told(tmp_path: Path) -> None:
    document = {"step": 3, "total": 10, "metrics": {"loss": 0.5, "epoch": {"f1": 1}, "note": "ok"}, "eta": 7, "more": 1}

    found = progress(tmp_path, document).read()

    assert found == TrainingProgress(step=3, total=10, metrics={"loss": "0.5", "epoch.f1": "1", "note": "ok"}, eta=7)


def test_the_time_that_is_left_follows_from_the_pace(tmp_path: Path) -> None:
    clock = Hand()
    watched = progress(tmp_path, {"step": 10, "total": 100}, clock)
    first = watched.read()
    assert first is not None
    assert first.eta is None

    clock.now += 20
    progress(tmp_path, {"step": 20, "total": 100})
    later = watched.read()
    assert later is not None
    assert later.eta == 160

    progress(tmp_path, {"step": 5, "total": 100})  # it began anew
    again = watched.read()
    assert again is not None
    assert again.eta is None


@pytest.mark.parametrize(
    "document",
    [
        "",
        "{",
        "[]",
        "null",
        '{"total": 3}',
        '{"step": -1}',
        '{"step": "many"}',
        '{"step": 1e400}',
        '{"step": 1, "total": 99999999999999999999}',
        "[" * 100_000,
        " " * 70_000 + '{"step": 1}',
    ],
)
def test_nonsense_tells_nothing(tmp_path: Path, document: str) -> None:
    assert progress(tmp_path, document).read() == TrainingProgress()


def test_what_is_no_file_is_never_waited_for(tmp_path: Path) -> None:
    watched = ProgressReader(tmp_path / "progress.json")
    assert watched.read() == TrainingProgress()
    os.mkfifo(tmp_path / "progress.json")
    assert watched.read() == TrainingProgress()
    (tmp_path / "progress.json").unlink()
    (tmp_path / "progress.json").symlink_to("/etc/passwd")
    assert watched.read() == TrainingProgress()


def test_many_metrics_are_cut_and_the_answer_always_fits(tmp_path: Path) -> None:
    metrics = {f"{number:03}" + "m" * 60: "v" * 32 for number in range(500)}

    found = progress(tmp_path, {"step": 1, "metrics": metrics}).read()

    assert found is not None
    assert len(found.metrics) == MOST_PROGRESS_METRICS
    assert len(found.model_dump_json()) <= MAX_BYTES


def test_it_is_served_at_one_path_only(tmp_path: Path) -> None:
    with progress_server(tmp_path, port=0) as port:
        assert get(port) == {"metrics": {}, "warnings": []}
        progress(tmp_path, {"step": 1})
        assert get(port) == {"step": 1, "metrics": {}, "warnings": []}
        for path in ("/", "/progress/", "/../etc/passwd"):
            with pytest.raises(urllib.error.HTTPError, match="404"):
                get(port, path)


def test_a_client_that_says_nothing_does_not_stop_the_others(tmp_path: Path) -> None:
    progress(tmp_path, {"step": 1})
    with progress_server(tmp_path, port=0) as port, socket.create_connection(("127.0.0.1", port or 0)):
        assert get(port)["step"] == 1


def test_a_port_that_the_code_took_costs_the_progress_alone(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET) as taken:
        taken.bind(("", 0))
        taken.listen()
        with progress_server(tmp_path, port=taken.getsockname()[1]) as port:
            assert port is None


def test_warnings_are_told_without_progress_too_and_fit_into_the_message(tmp_path: Path) -> None:
    long = f"the agent cannot read {'dir/' * 100!r} in the output: chmod a+r it"
    with progress_server(tmp_path, 0, lambda: ("one", long, "three", "four")) as port:
        said = TrainingProgress.model_validate(get(port))
    assert said.step is None
    assert (said.warnings[0], len(said.warnings)) == ("one", 3)
    assert said.warnings[1].endswith("chmod a+r it")


def test_a_problem_stands_until_a_check_finds_it_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    watch = OutputWatch(tmp_path)
    problems: list[tuple[AgentError, ...]] = []
    monkeypatch.setattr(output, "scan", lambda _: output.Output((), (), problems[-1]))
    problem = AgentError(DATA_INVALID, "the agent cannot read 'a'")
    for found, standing in (((problem,), ()), ((problem,), (str(problem),)), ((), ())):
        problems.append(found)
        watch.check()
        assert watch.standing() == standing


def test_the_state_of_checkpoints_is_told_with_and_without_progress(tmp_path: Path) -> None:
    state = CheckpointState(kept="2026-01-31T12:00:00Z", problem="the files keep changing")
    reader = ProgressReader(tmp_path / "progress.json", checkpoint=lambda: state)
    assert (reader.read().step, reader.read().checkpoint) == (None, state)
    (tmp_path / "progress.json").write_text('{"step": 3}')
    assert (reader.read().step, reader.read().checkpoint) == (3, state)
