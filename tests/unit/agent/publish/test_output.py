"""What the training left is checked name by name before any of it is published."""

import os
from pathlib import Path

import pytest

from perennial.agent.artifact.paths import safe_paths
from perennial.agent.publish.output import output_files, read_metrics
from perennial.agent.storage import retry as patience_module
from perennial.agent.storage.errors import AgentError
from perennial.agent.storage.retry import Retry
from perennial.core.failures import ACCESS_DENIED, TRANSFER_FAILED


def test_links_inside_count_as_what_they_point_to(tmp_path: Path) -> None:
    (tmp_path / "step-9").mkdir()
    (tmp_path / "step-9/model.bin").write_bytes(b"w")
    (tmp_path / "latest").symlink_to("step-9")
    (tmp_path / "model.bin").symlink_to("step-9/model.bin")

    assert output_files(tmp_path) == ["latest/model.bin", "model.bin", "step-9/model.bin"]


@pytest.mark.parametrize(
    ("target", "reason"),
    [("/etc", "UnsafePath"), ("..", "UnsafePath"), (".", "UnsafePath"), ("nowhere", "DataInvalid")],
)
def test_links_that_leave_or_loop_or_point_nowhere_are_refused(tmp_path: Path, target: str, reason: str) -> None:
    output = tmp_path / "output"
    output.mkdir()
    (output / "link").symlink_to(target)

    with pytest.raises(AgentError, match="link") as caught:
        output_files(output)

    assert caught.value.failure.reason == reason


def test_what_is_no_file_is_named(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(AgentError, match="'pipe' in the output is a named pipe, not a file"):
        output_files(tmp_path)


@pytest.mark.parametrize("name", [b"a\\b", b"a\nb", b"\xff"])
def test_names_that_could_not_be_fetched_are_not_published(tmp_path: Path, name: bytes) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_bytes(b"")

    with pytest.raises(AgentError) as caught:
        output_files(tmp_path)

    assert caught.value.failure.reason == "UnsafePath"


def test_metrics_are_never_cut(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    path.write_text('{"auc": 0.9, "ok": true, "best": {"step": 3}, "note": "fine", "n": %s, "l": [1]}' % ("9" * 40))

    assert read_metrics(path) == {"auc": "0.9", "ok": "true", "best.step": "3", "note": "fine"}


def test_a_name_that_is_file_and_folder_at_once_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AgentError, match="both as an object and as the folder") as caught:
        safe_paths(tmp_path, ["a", "a/b"], "s3://bucket/x/")

    assert caught.value.failure.reason == "UnsafePath"


def test_what_may_pass_is_tried_again_and_what_cannot_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience_module, "_FIRST_PAUSE", 0.001)
    answers: list[AgentError | int] = [AgentError(TRANSFER_FAILED, "away"), AgentError(TRANSFER_FAILED, "away"), 7]

    def work() -> int:
        answer = answers.pop(0)
        if isinstance(answer, AgentError):
            raise answer
        return answer

    assert Retry(60)(work) == 7
    answers[:] = [AgentError(ACCESS_DENIED, "no"), 7]
    with pytest.raises(AgentError, match="no"):
        Retry(60)(work)
    answers[:] = [AgentError(TRANSFER_FAILED, "away"), 7]
    with pytest.raises(AgentError, match="away"):
        Retry(0)(work)
