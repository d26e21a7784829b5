"""What the training left is checked name by name before any of it is published."""

import json
import os
import socket
from pathlib import Path

import pytest

from perennial.agent.artifact.paths import safe_paths
from perennial.agent.publish.output import OutputWatch, output_files, read_metrics
from perennial.agent.storage import retry as patience_module
from perennial.agent.storage.errors import AgentError
from perennial.agent.storage.retry import Retry
from perennial.api.contract.manifest import SkippedFile
from perennial.core.failures import ACCESS_DENIED, TRANSFER_FAILED


def test_links_inside_count_as_what_they_point_to(tmp_path: Path) -> None:
    (tmp_path / "step-9").mkdir()
    (tmp_path / "step-9/model.bin").write_bytes(b"w")
    (tmp_path / "latest").symlink_to("step-9")
    (tmp_path / "model.bin").symlink_to("step-9/model.bin")

    assert output_files(tmp_path).files == ("latest/model.bin", "model.bin", "step-9/model.bin")


@pytest.mark.parametrize("target", ["/etc", "..", "/etc/passwd", "../elsewhere", "../nowhere"])
def test_links_that_leave_the_output_are_refused(tmp_path: Path, target: str) -> None:
    output = tmp_path / "output"
    output.mkdir()
    (tmp_path / "elsewhere").touch()
    (output / "link").symlink_to(target)

    with pytest.raises(AgentError, match="link") as caught:
        output_files(output)

    assert caught.value.failure.reason == "UnsafePath"


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        (".", "a link to one of its parent folders"),
        ("last", "a broken link"),
        ("other", "a broken link"),
        ("epoch=3.ckpt", "a broken link"),
        ("model.onnx/inside", "a broken link"),
    ],
)
def test_links_to_nothing_are_left_out(tmp_path: Path, target: str, reason: str) -> None:
    (tmp_path / "model.onnx").write_bytes(b"w")
    (tmp_path / "other").symlink_to("last")
    (tmp_path / "last").symlink_to(target)

    found = output_files(tmp_path)

    assert found.files == ("model.onnx",)
    assert SkippedFile(path="last", reason=reason) in found.skipped


def test_a_link_to_a_parent_folder_in_a_subfolder_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "model").touch()
    (tmp_path / "a" / "b" / "up").symlink_to("..")

    found = output_files(tmp_path)

    assert (found.files, [entry.path for entry in found.skipped]) == (("a/model",), ["a/b/up"])


def test_what_is_not_a_file_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model.onnx").write_bytes(b"w")
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as helper:
        helper.bind("mp.sock")  # relative, since the length of a socket's path is limited

    found = output_files(tmp_path)

    assert found.files == ("model.onnx",)
    assert found.skipped == (
        SkippedFile(path="mp.sock", reason="a socket, not a file"),
        SkippedFile(path="pipe", reason="a named pipe, not a file"),
    )


@pytest.mark.parametrize("name", [b"a\\b", b"a\nb", b"\xff"])
def test_names_that_cannot_be_fetched_are_left_out(tmp_path: Path, name: bytes) -> None:
    (tmp_path / "model.onnx").write_bytes(b"w")
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_bytes(b"")

    found = output_files(tmp_path)

    assert found.files == ("model.onnx",)
    assert [entry.reason for entry in found.skipped] == ["its name is not a plain path"]


def test_folders_nested_too_deeply_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model.onnx").write_bytes(b"w")
    monkeypatch.chdir(tmp_path)
    for _ in range(600):
        Path("d").mkdir()
        os.chdir("d")
    os.chdir(tmp_path)

    found = output_files(tmp_path)

    assert (found.files, len(found.skipped)) == (("model.onnx",), 1)


@pytest.fixture
def unreadable(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Names of files that the agent's user may not read; tests may run as root, who may read any."""
    names: set[str] = set()
    monkeypatch.setattr(os, "access", lambda path, _mode, **_: Path(path).name not in names)
    return names


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, unreadable: set[str]) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"w")
    unreadable.add("model.safetensors")

    with pytest.raises(AgentError, match=r"cannot read 'model.safetensors' .*chmod a\+r") as caught:
        output_files(tmp_path)

    assert caught.value.failure.reason == "DataInvalid"
    assert not caught.value.failure.retriable


def test_what_cannot_be_published_is_told_during_the_training_and_once(
    tmp_path: Path, unreadable: set[str], caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "output").mkdir()
    watch = OutputWatch(tmp_path / "output")
    (tmp_path / "output" / "model.safetensors").write_bytes(b"w")
    (tmp_path / "output" / "link").symlink_to("/etc")
    unreadable.add("model.safetensors")

    assert watch.check() == (), "the file may still be written"
    first, second = watch.check()
    assert "'link'" in first
    assert "'model.safetensors'" in second
    assert "chmod a+r" in caplog.text
    assert watch.check() == ()


def test_metrics_are_never_cut(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    path.write_text('{"auc": 0.9, "ok": true, "best": {"step": 3}, "note": "fine", "n": %s, "l": [1]}' % ("9" * 40))

    assert read_metrics(path) == {"auc": "0.9", "ok": "true", "best.step": "3", "note": "fine"}


def test_metrics_that_decide_are_kept_first(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    path.write_text(json.dumps({f"m{number:02}": number for number in range(70)}))

    found = list(read_metrics(path, ["m69", "missing", "m68"]))

    assert found[:3] == ["m69", "m68", "m00"]
    assert len(found) == 64


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
