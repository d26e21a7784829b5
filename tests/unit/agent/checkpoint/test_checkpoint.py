"""Checkpoints are complete or not there, and the next attempt gets the newest complete one."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from perennial.agent.checkpoint import mirror as mirrors
from perennial.agent.checkpoint.mirror import Mirror, mirroring
from perennial.agent.checkpoint.restore import restore
from perennial.agent.checkpoint.sweep import remove_outdated
from perennial.agent.fetch.command import fetch_inputs
from perennial.agent.publish.command import publish_on_sigterm
from perennial.agent.storage.client import ObjectStore
from perennial.agent.storage.errors import AgentError
from perennial.api.contract.checkpoint import CheckpointManifest, CheckpointPlace
from perennial.api.contract.commands import WORKER_VARIABLE, FetchInputs, PublishConfig
from perennial.api.contract.messages import NothingToPublish
from perennial.core.failures import ACCESS_DENIED, ENDPOINT_UNREACHABLE
from tests.unit.agent.conftest import S3Server

HOME = "ckpt/team/churn/uid-1"


def place(bucket: str, attempt: int = 0, number: int = 1, run: str = "churn-1") -> CheckpointPlace:
    return CheckpointPlace(uri=f"s3://{bucket}/{HOME}", number=number, run=run, attempt=attempt, every=60)


def write(root: Path, files: dict[str, bytes]) -> None:
    for name, data in files.items():
        path = root / "checkpoint" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def read(root: Path) -> dict[str, bytes]:
    folder = root / "checkpoint"
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def mirror(
    root: Path, where: CheckpointPlace, store: Any, worker: int = 0, pause: Callable[[float], Any] = id
) -> Mirror:
    return Mirror(root, where, worker, store, pause=pause, retry_seconds=0)


def kept(s3: S3Server, bucket: str, folder: str) -> CheckpointManifest:
    return CheckpointManifest.model_validate_json(s3.read(bucket, f"{HOME}/{folder}/checkpoint.json"))


def test_what_one_attempt_has_kept_the_next_one_gets(s3: S3Server, store: ObjectStore, tmp_path: Path) -> None:
    bucket, before, after = s3.bucket(), tmp_path / "0", tmp_path / "1"
    write(before, {"step-100/model": b"weights", "step-100/optimizer": b"state", "empty": b""})
    assert mirror(before, place(bucket), store).step()

    found = restore(place(bucket, attempt=1), after, 0, store)

    assert found is not None
    assert (found.attempt, found.files, found.bytes, found.problem) == (0, 3, 12, None)
    assert read(after) == read(before)
    assert found.time == kept(s3, bucket, "1/churn-1/0/0").time


def test_restored_files_can_be_changed_by_another_user_of_the_group(
    s3: S3Server, store: ObjectStore, tmp_path: Path
) -> None:
    bucket = s3.bucket()
    write(tmp_path / "0", {"a/b/model": b"weights"})
    mirror(tmp_path / "0", place(bucket), store).step()
    restore(place(bucket, attempt=1), tmp_path / "1", 0, store)
    folder = tmp_path / "1" / "checkpoint"
    modes = {str(path.relative_to(folder)): path.stat().st_mode & 0o7777 for path in folder.rglob("*")}
    assert modes == {"a": 0o2777, "a/b": 0o2777, "a/b/model": 0o664}


def test_only_what_is_new_is_uploaded_and_what_is_old_is_deleted(
    s3: S3Server, store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket, uploaded = s3.bucket(), []
    real = ObjectStore.upload

    def upload(self: ObjectStore, path: Path, uri: str, sha256: str | None = None) -> None:
        uploaded.append(path.name)
        real(self, path, uri, sha256)

    monkeypatch.setattr(ObjectStore, "upload", upload)
    taker = mirror(tmp_path, place(bucket), store)
    write(tmp_path, {"data": b"same", "step-1": b"one"})
    assert taker.step()
    assert not taker.step(), "nothing is new"
    (tmp_path / "checkpoint" / "step-1").unlink()
    write(tmp_path, {"step-2": b"two"})
    assert taker.step()

    assert sorted(uploaded) == ["data", "step-1", "step-2"]
    assert [entry.path for entry in kept(s3, bucket, "1/churn-1/0/0").files] == ["data", "step-2"]
    assert len(s3.keys(bucket, f"{HOME}/1/churn-1/0/0/objects/")) == 2


def test_a_file_under_its_temporary_name_is_no_part_of_a_checkpoint(
    s3: S3Server, store: ObjectStore, tmp_path: Path
) -> None:
    bucket = s3.bucket()
    write(tmp_path, {"model": b"old", ".model.part": b"hal", ".tmp/shard": b"x"})
    (tmp_path / "checkpoint" / "link").symlink_to("/etc/hostname")
    mirror(tmp_path, place(bucket), store).step()
    assert [entry.path for entry in kept(s3, bucket, "1/churn-1/0/0").files] == ["model"]


def test_a_folder_that_keeps_changing_is_told_and_the_last_complete_one_stays(
    s3: S3Server, store: ObjectStore, tmp_path: Path
) -> None:
    bucket, length = s3.bucket(), iter(range(1, 100))
    writing = False

    def pause(_: float) -> None:
        if writing:
            write(tmp_path, {"model": b"x" * next(length)})

    taker = mirror(tmp_path, place(bucket), store, pause=pause)
    write(tmp_path, {"model": b""})
    assert taker.step()
    writing = True
    write(tmp_path, {"model": b"began"})
    assert not taker.step()
    assert "keep changing" in (taker.state().problem or "")
    assert kept(s3, bucket, "1/churn-1/0/0").files[0].size == 0
    writing = False
    assert taker.step()
    assert (taker.state().problem, taker.state().kept) == (None, kept(s3, bucket, "1/churn-1/0/0").time)


@pytest.mark.parametrize("moment", ["hashed", "uploaded"])
def test_a_file_that_changes_while_it_is_read_or_uploaded_makes_no_checkpoint(
    s3: S3Server, store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    bucket, times = s3.bucket(), iter(range(3))
    real_hash, real_upload = mirrors.file_sha256, ObjectStore.upload

    def grow(when: str) -> None:
        if when == moment and next(times, None) == 0:
            write(tmp_path, {"model": b"new and longer"})

    def hashed(path: Path) -> str:
        digest = real_hash(path)
        grow("hashed")
        return digest

    def upload(self: ObjectStore, path: Path, uri: str, sha256: str | None = None) -> None:
        grow("uploaded")
        real_upload(self, path, uri, sha256)

    monkeypatch.setattr(mirrors, "file_sha256", hashed)
    monkeypatch.setattr(ObjectStore, "upload", upload)
    write(tmp_path, {"model": b"old"})
    assert mirror(tmp_path, place(bucket), store).step(), "the second look finds it complete"
    restore(place(bucket, attempt=1), tmp_path / "next", 0, store)
    assert read(tmp_path / "next") == {"model": b"new and longer"}


@pytest.mark.parametrize("moment", ["hashed", "uploaded"])
def test_a_file_that_is_deleted_while_it_is_read_or_uploaded_is_no_failure(
    s3: S3Server, store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    bucket, real_hash, real_upload = s3.bucket(), mirrors.file_sha256, ObjectStore.upload

    def rotate(when: str, path: Path) -> None:
        if when == moment and path.name == "step-1":
            path.unlink()

    def hashed(path: Path) -> str:
        rotate("hashed", path)
        return real_hash(path)

    def upload(self: ObjectStore, path: Path, uri: str, sha256: str | None = None) -> None:
        rotate("uploaded", path)
        real_upload(self, path, uri, sha256)

    monkeypatch.setattr(mirrors, "file_sha256", hashed)
    monkeypatch.setattr(ObjectStore, "upload", upload)
    write(tmp_path, {"step-1": b"one", "step-2": b"two"})
    taker = mirror(tmp_path, place(bucket), store)
    assert taker.step(), "the second look finds it complete"
    assert taker.state().problem is None
    assert [entry.path for entry in kept(s3, bucket, "1/churn-1/0/0").files] == ["step-2"]


def test_each_worker_gets_the_first_ones_files_and_its_own_which_it_alone_keeps(
    s3: S3Server, store: ObjectStore, tmp_path: Path
) -> None:
    bucket = s3.bucket()
    write(tmp_path / "w0", {"model": b"all", "shard": b"zero"})
    write(tmp_path / "w1", {"shard": b"one"})
    for worker in (0, 1):
        mirror(tmp_path / f"w{worker}", place(bucket), store, worker).step()

    second = tmp_path / "second"
    restore(place(bucket, attempt=1), second, 1, store)
    assert read(second) == {"model": b"all", "shard": b"one"}

    taker = mirror(second, place(bucket, attempt=1), store, 1)
    assert taker.state().resumed == kept(s3, bucket, "1/churn-1/0/0").time
    assert not taker.step(), "nothing is new"
    write(second, {"shard": b"one more"})
    assert taker.step()
    assert [entry.path for entry in kept(s3, bucket, "1/churn-1/1/1").files] == ["shard"]


def test_the_newest_attempt_with_a_checkpoint_counts_and_a_late_pod_of_an_earlier_one_changes_nothing(
    s3: S3Server, store: ObjectStore, tmp_path: Path
) -> None:
    bucket = s3.bucket()
    late = mirror(tmp_path / "0", place(bucket, 0), store)
    write(tmp_path / "0", {"model": b"from 0"})
    late.step()
    write(tmp_path / "1", {"model": b"from 1"})
    mirror(tmp_path / "1", place(bucket, 1), store).step()
    write(tmp_path / "0", {"model": b"much later"})
    late.step()

    found = restore(place(bucket, 3), tmp_path / "3", 0, store)
    assert found is not None
    assert (found.attempt, read(tmp_path / "3")) == (1, {"model": b"from 1"})


def test_another_run_another_trial_and_another_training_job_start_from_the_beginning(
    s3: S3Server, store: ObjectStore, tmp_path: Path
) -> None:
    bucket = s3.bucket()
    write(tmp_path, {"model": b"weights"})
    mirror(tmp_path, place(bucket), store).step()
    others = [
        place(bucket, number=2, run="churn-2"),
        place(bucket, run="churn-1-t2"),
        place(bucket).model_copy(update={"uri": f"s3://{bucket}/ckpt/team/churn/uid-2"}),
    ]
    assert [restore(other, tmp_path / "other", 0, store) for other in others] == [None, None, None]
    assert read(tmp_path / "other") == {}


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda s3, bucket, key: s3.client.delete_object(Bucket=bucket, Key=key), "does not exist"),
        (lambda s3, bucket, key: s3.put(bucket, {key: b"WEIGHTS"}), "sha256"),
    ],
    ids=["missing", "altered"],
)
def test_a_damaged_checkpoint_is_told_and_the_code_starts_from_the_beginning(
    s3: S3Server, store: ObjectStore, tmp_path: Path, spoil: Callable[..., Any], why: str
) -> None:
    bucket = s3.bucket()
    write(tmp_path, {"model": b"weights", "other": b"x"})
    mirror(tmp_path, place(bucket), store).step()
    entry = kept(s3, bucket, "1/churn-1/0/0").files[0]
    spoil(s3, bucket, f"{HOME}/1/churn-1/0/0/objects/{entry.sha256}")

    found = restore(place(bucket, 1), tmp_path / "1", 0, store)

    assert found is not None
    assert why in (found.problem or "")
    assert (found.files, read(tmp_path / "1")) == (0, {})


def test_a_document_that_nobody_can_read_counts_as_none(s3: S3Server, store: ObjectStore, tmp_path: Path) -> None:
    bucket = s3.bucket()
    write(tmp_path / "0", {"model": b"good"})
    mirror(tmp_path / "0", place(bucket, 0), store).step()
    s3.put(bucket, {f"{HOME}/1/churn-1/1/0/checkpoint.json": b"{torn"})
    found = restore(place(bucket, 2), tmp_path / "2", 0, store)
    assert found is not None
    assert (found.attempt, read(tmp_path / "2")) == (0, {"model": b"good"})


def test_a_path_that_leads_out_of_the_folder_is_refused(s3: S3Server, store: ObjectStore, tmp_path: Path) -> None:
    bucket = s3.bucket()
    write(tmp_path / "0", {"model": b"good"})
    mirror(tmp_path / "0", place(bucket), store).step()
    name = f"{HOME}/1/churn-1/0/0/checkpoint.json"
    s3.put(bucket, {name: s3.read(bucket, name).replace(b'"model"', b'"../../outside"')})
    found = restore(place(bucket, 1), tmp_path / "1", 0, store)
    assert found is not None
    assert "unsafe name" in (found.problem or "")
    assert not (tmp_path / "outside").exists()


class Failing:
    """Storage in which one call fails."""

    def __init__(self, store: ObjectStore, call: str, error: AgentError) -> None:
        self._store, self._call, self._error = store, call, error

    def __getattr__(self, name: str) -> Any:
        return self._fail if name == self._call else getattr(self._store, name)

    def _fail(self, *_: Any, **__: Any) -> None:
        raise self._error


def test_storage_that_cannot_be_read_is_an_error_of_the_attempt(
    s3: S3Server, store: ObjectStore, tmp_path: Path
) -> None:
    failing: Any = Failing(store, "get_version", AgentError(ENDPOINT_UNREACHABLE, "nobody answers"))
    with pytest.raises(AgentError, match="nobody answers"):
        restore(place(s3.bucket()), tmp_path, 0, failing)


@pytest.mark.parametrize("call", ["upload", "put_bytes"])
def test_a_checkpoint_that_cannot_be_kept_is_a_warning_until_it_can(
    s3: S3Server, store: ObjectStore, tmp_path: Path, call: str
) -> None:
    bucket = s3.bucket()
    failing: Any = Failing(store, call, AgentError(ACCESS_DENIED, "may not write"))
    write(tmp_path, {"model": b"weights"})
    taker = mirror(tmp_path, place(bucket), failing)
    assert not taker.step()
    assert taker.state().problem == "the checkpoint cannot be kept: may not write"
    assert restore(place(bucket, 1), tmp_path / "1", 0, store) is None, "nothing is half there"
    failing._call = "none"
    assert taker.step()
    assert (taker.state().problem, taker.state().kept) == (None, kept(s3, bucket, "1/churn-1/0/0").time)


def test_a_file_that_the_agent_cannot_read_is_named(s3: S3Server, store: ObjectStore, tmp_path: Path) -> None:
    write(tmp_path, {"bad\\name": b"x"})
    taker = mirror(tmp_path, place(s3.bucket()), store)
    assert not taker.step()
    assert "no plain name: rename it" in (taker.state().problem or "")


def test_earlier_runs_and_attempts_before_the_resumed_one_are_deleted(
    s3: S3Server, store: ObjectStore, tmp_path: Path
) -> None:
    bucket = s3.bucket()
    names = ["1/churn-1/0/0", "2/churn-2/0/0", "2/churn-2/1/0", "2/churn-2/1/1", "2/churn-2-t1/0/0", "3/churn-3/0/0"]
    s3.put(bucket, {f"{HOME}/{name}/{file}": b"x" for name in names for file in ("checkpoint.json", "objects/ab")})
    others = ["ckpt/team/churn/uid-2/1/churn-1/0/0/checkpoint.json", f"{HOME}/notes", f"{HOME}/1/mine/by/hand/x"]
    s3.put(bucket, dict.fromkeys(others, b"x"))

    assert remove_outdated(place(bucket, attempt=2, number=2, run="churn-2"), 1, store) == 4

    left = [name for name in names if name not in ("1/churn-1/0/0", "2/churn-2/0/0")]
    expected = [f"{HOME}/{name}/{file}" for name in left for file in ("checkpoint.json", "objects/ab")] + others
    assert s3.keys(bucket) == sorted(expected)
    assert remove_outdated(place(bucket, number=2, run="churn-2"), None, store) == 0


def test_what_cannot_be_deleted_stays_and_fails_nothing(s3: S3Server, store: ObjectStore) -> None:
    bucket = s3.bucket()
    s3.put(bucket, {f"{HOME}/1/churn-1/0/0/checkpoint.json": b"x"})
    failing: Any = Failing(store, "delete", AgentError(ACCESS_DENIED, "may not delete"))
    assert remove_outdated(place(bucket, number=2), None, failing) == 0
    ticks = iter([0.0, 100.0])
    assert remove_outdated(place(bucket, number=2), None, store, clock=lambda: next(ticks)) == 0, "the time is over"


def test_a_last_checkpoint_is_taken_when_the_code_has_ended(s3: S3Server, store: ObjectStore, tmp_path: Path) -> None:
    bucket = s3.bucket()
    with mirroring(mirror(tmp_path, place(bucket), store), every=3600):
        write(tmp_path, {"model": b"as it was told to stop"})
    assert [entry.path for entry in kept(s3, bucket, "1/churn-1/0/0").files] == ["model"]


def test_checkpoints_are_taken_while_the_code_runs(s3: S3Server, store: ObjectStore, tmp_path: Path) -> None:
    bucket, taken = s3.bucket(), threading.Event()
    taker = mirror(tmp_path, place(bucket), store)
    real = taker.step

    def step() -> bool:
        done = real()
        if done:
            taken.set()
        return done

    taker.step = step  # type: ignore[method-assign]
    write(tmp_path, {"model": b"weights"})
    with mirroring(taker, every=0.01):
        assert taken.wait(30)


def test_an_attempt_that_was_interrupted_goes_on_in_the_next_one(
    s3: S3Server, store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mirrors, "SETTLE_SECONDS", 0)
    monkeypatch.setenv(WORKER_VARIABLE, "0")
    bucket = s3.bucket()

    def attempt(number: int, code: Callable[[Path], None]) -> Any:
        root, where = tmp_path / str(number), place(bucket, attempt=number)
        output = f"s3://{bucket}/models/"
        fetched = fetch_inputs(FetchInputs(output=output, checkpoint=where, root=str(root)), store)
        config = PublishConfig(
            output=output, namespace="team", training_job="churn", run="churn-1", attempt=number, checkpoint=where,
            root=str(root),
        )  # fmt: skip
        return fetched.checkpoint, publish_on_sigterm(config, store, lambda: code(root / "checkpoint"))

    def count(folder: Path) -> None:
        step = folder / "step"
        step.write_text(str(int(step.read_text()) + 1 if step.exists() else 1))

    assert attempt(0, count) == (None, NothingToPublish())
    restored, _ = attempt(1, count)
    assert (restored.attempt, restored.files) == (0, 1)
    assert (tmp_path / "1" / "checkpoint" / "step").read_text() == "2"
    again, _ = attempt(2, lambda _: None)
    assert (again.attempt, (tmp_path / "2" / "checkpoint" / "step").read_text()) == (1, "2")
    assert s3.keys(bucket, f"{HOME}/1/churn-1/0/") == [], "what no attempt resumes from is gone"
