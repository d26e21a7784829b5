"""The progress that code reports of itself: where it is read, and how it comes into status, rarely and bounded."""

from datetime import datetime

from pydantic import ValidationError

from perennial.api.contract.commands import PROGRESS_PATH, PROGRESS_PORT
from perennial.api.contract.messages import TrainingProgress
from perennial.api.trainingjob.resource import CurrentRun, RunProgress, TrainingJobSpec
from perennial.core.clock import seconds_since
from perennial.core.decision import Read
from perennial.core.times import format_time
from perennial.training.observe import OwnedPod

ASK_SECONDS = 15.0
WRITE_SECONDS = 30.0
"""Progress is written to status no more often than this: every write is an event for everyone who watches."""


def read_of(spec: TrainingJobSpec, pod: OwnedPod | None) -> Read | None:
    """Return the read that tells of a running pod's progress; None without the sidecar that would answer it."""
    address = pod.status.pod_ip if pod is not None and pod.status.phase == "Running" else ""
    if spec.output is None or not address:
        return None
    host = f"[{address}]" if ":" in address else address
    return Read(f"http://{host}:{PROGRESS_PORT}{PROGRESS_PATH}", ASK_SECONDS)


def reported(run: CurrentRun, answer: str | None, now: datetime) -> tuple[CurrentRun, float | None]:
    """Return the run with the newest progress, and the seconds after which one that came too soon may be written."""
    found = _progress(answer, now)
    if found is None or _same(found, run.progress):
        return run, None
    before = run.progress.time if run.progress is not None else None
    left = WRITE_SECONDS - seconds_since(before, now, otherwise=WRITE_SECONDS)
    if 0 < left <= WRITE_SECONDS:
        return run, left
    return run.model_copy(update={"progress": found}), None


def _progress(answer: str | None, now: datetime) -> RunProgress | None:
    """Return what a pod says, which anyone in it may have written, as far as it may stand in a status."""
    try:
        said = TrainingProgress.model_validate_json(answer) if answer else None
    except ValidationError:
        return None
    if said is None or not all(f"{name}{value}".isprintable() for name, value in said.metrics.items()):
        return None
    return RunProgress(
        step=said.step, total=said.total, metrics=said.metrics or None, eta_seconds=said.eta, time=format_time(now)
    )


def _same(one: RunProgress, other: RunProgress | None) -> bool:
    """Tell whether two say the same; what time is left follows from the rest."""
    return other is not None and (one.step, one.total, one.metrics) == (other.step, other.total, other.metrics)
