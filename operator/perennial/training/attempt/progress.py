"""Progress that the training code reports: where it is read, and how it gets into status."""

from datetime import datetime

from pydantic import ValidationError

from perennial.api.contract.commands import PROGRESS_PATH, PROGRESS_PORT
from perennial.api.contract.messages import TrainingProgress
from perennial.api.trainingjob.resource import CurrentRun, RunProgress, TrainingJobSpec
from perennial.core.reads import Read
from perennial.core.times import format_time, seconds_since
from perennial.training.observe import OwnedPod

READ_SECONDS = 15.0
MIN_WRITE_SECONDS = 30.0
"""Progress is written to status no more often than this: every write is an event for all watchers."""


def read_of(spec: TrainingJobSpec, pod: OwnedPod | None) -> Read | None:
    """Return the read of a running pod's progress; None without the sidecar that serves it."""
    address = pod.status.pod_ip if pod is not None and pod.status.phase == "Running" else ""
    if spec.output is None or not address:
        return None
    host = f"[{address}]" if ":" in address else address
    return Read(f"http://{host}:{PROGRESS_PORT}{PROGRESS_PATH}", READ_SECONDS)


def with_progress(run: CurrentRun, answer: str | None, now: datetime) -> tuple[CurrentRun, float | None]:
    """Return the run with the newest progress, or the seconds until it may be written."""
    found = _progress(answer, now)
    if found is None or _is_same(found, run.progress):
        return run, None
    before = run.progress.time if run.progress is not None else None
    left = MIN_WRITE_SECONDS - seconds_since(before, now, otherwise=MIN_WRITE_SECONDS)
    if 0 < left <= MIN_WRITE_SECONDS:
        return run, left
    return run.model_copy(update={"progress": found}), None


def _progress(answer: str | None, now: datetime) -> RunProgress | None:
    """Return the progress in a pod's response; None if it is not valid. The code in the pod may write anything."""
    try:
        said = TrainingProgress.model_validate_json(answer) if answer else None
    except ValidationError:
        return None
    if said is None or not all(f"{name}{value}".isprintable() for name, value in said.metrics.items()):
        return None
    return RunProgress(
        step=said.step, total=said.total, metrics=said.metrics or None, eta_seconds=said.eta, time=format_time(now)
    )


def _is_same(one: RunProgress, other: RunProgress | None) -> bool:
    """Compare step, total and metrics; the remaining time follows from them."""
    return other is not None and (one.step, one.total, one.metrics) == (other.step, other.total, other.metrics)
