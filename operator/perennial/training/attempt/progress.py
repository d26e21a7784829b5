"""Progress that the training code reports: where it is read, and how it gets into status."""

from collections.abc import Iterator
from datetime import datetime

from pydantic import ValidationError

from perennial.api.contract.commands import PROGRESS_PATH, PROGRESS_PORT
from perennial.api.contract.messages import CheckpointState, TrainingProgress
from perennial.api.trainingjob.resource import CurrentRun, RunProgress, TrainingJobSpec
from perennial.api.trainingjob.status import RunCheckpoint
from perennial.core.reads import Read
from perennial.core.times import canonical_time, format_time, parse_time, seconds_since
from perennial.training.observe import OwnedPod

READ_SECONDS = 15.0
MIN_WRITE_SECONDS = 30.0
"""Progress is written to status no more often than this: every write is an event for all watchers."""

CHECKPOINT_SECONDS = 300.0
"""The time of the newest checkpoint is written to status no more often than this."""


def read_of(spec: TrainingJobSpec, pod: OwnedPod | None) -> Read | None:
    """Return the read of a running pod's progress; None without the sidecar that serves it."""
    address = pod.status.pod_ip if pod is not None and pod.status.phase == "Running" else ""
    if spec.output is None or not address:
        return None
    host = f"[{address}]" if ":" in address else address
    return Read(f"http://{host}:{PROGRESS_PORT}{PROGRESS_PATH}", READ_SECONDS)


def with_progress(run: CurrentRun, answer: str | None, now: datetime) -> tuple[CurrentRun, float | None]:
    """Return the run with the newest progress and warnings, or the seconds until the progress may be written.

    Without a valid answer both stay as they are.
    """
    said = _said(answer)
    if said is None:
        return run, None
    checkpoint = _checkpoint(said.checkpoint, run.checkpoint) if said.checkpoint is not None else None
    run = run.model_copy(update={"output_warnings": said.warnings or None, "checkpoint": checkpoint})
    found = _progress(said, now)
    if found is None or _is_same(found, run.progress):
        return run, None
    before = run.progress.time if run.progress is not None else None
    left = MIN_WRITE_SECONDS - seconds_since(before, now, otherwise=MIN_WRITE_SECONDS)
    if 0 < left <= MIN_WRITE_SECONDS:
        return run, left
    return run.model_copy(update={"progress": found}), None


def _said(answer: str | None) -> TrainingProgress | None:
    """Parse a pod's response; None if it is not valid. The code in the pod may write anything."""
    try:
        said = TrainingProgress.model_validate_json(answer) if answer else None
    except ValidationError:
        return None
    if said is None or not all(text.isprintable() for text in _texts(said)):
        return None
    return said


def _texts(said: TrainingProgress) -> Iterator[str]:
    yield from (*said.warnings, *said.metrics, *said.metrics.values())
    if said.checkpoint is not None and said.checkpoint.problem:
        yield said.checkpoint.problem


def _checkpoint(said: CheckpointState, before: RunCheckpoint | None) -> RunCheckpoint:
    """Return what is known of the checkpoints; the time of the newest one is written rarely."""
    kept = canonical_time(said.kept) if said.kept else None
    known = before.time if before is not None else None
    if kept is not None and seconds_since(known, parse_time(kept), otherwise=CHECKPOINT_SECONDS) < CHECKPOINT_SECONDS:
        kept = known
    resumed = canonical_time(said.resumed) if said.resumed else None
    return RunCheckpoint(resumed_from=resumed, time=kept, problem=said.problem)


def _progress(said: TrainingProgress, now: datetime) -> RunProgress | None:
    if said.step is None:
        return None
    return RunProgress(
        step=said.step, total=said.total, metrics=said.metrics or None, eta_seconds=said.eta, time=format_time(now)
    )


def _is_same(one: RunProgress, other: RunProgress | None) -> bool:
    """Compare step, total and metrics; the remaining time follows from them."""
    return other is not None and (one.step, one.total, one.metrics) == (other.step, other.total, other.metrics)
