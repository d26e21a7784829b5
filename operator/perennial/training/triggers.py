"""Whether a run is due, and why."""

from collections.abc import Mapping

from perennial.api.trainingjob import TrainingJobSpec, TrainingJobStatus, Trigger
from perennial.training.observe import RetrainWish
from perennial.training.runs import newest

MOST_VERDICTS = 64


def due(
    spec: TrainingJobSpec, spec_hash: str, status: TrainingJobStatus, wishes: tuple[RetrainWish, ...]
) -> Trigger | None:
    """Return why a run should start now, or None. A run that failed is not repeated for its own sake."""
    last = newest(status)
    if last is None:
        return Trigger(kind="Created")
    changed = last.spec_hash != spec_hash
    if changed and spec.on_change != "Ignore":
        return Trigger(kind="SpecChanged")
    if last.result == "Replaced":
        return last.trigger  # what the replaced run was to bring is still owed
    answered = open_wishes(status, wishes)
    return Trigger(kind="Drift", monitor=answered[0].monitor, verdict=answered[0].verdict) if answered else None


def open_wishes(status: TrainingJobStatus, wishes: tuple[RetrainWish, ...]) -> tuple[RetrainWish, ...]:
    """Return the requests that have not been acted on and speak of the present artifact."""
    return tuple(wish for wish in _unseen(status, wishes) if not _is_outdated(status, wish))


def outdated_wishes(status: TrainingJobStatus, wishes: tuple[RetrainWish, ...]) -> tuple[RetrainWish, ...]:
    """Return the requests that have not been acted on and speak of a model that has been replaced since."""
    return tuple(wish for wish in _unseen(status, wishes) if _is_outdated(status, wish))


def acknowledge(status: TrainingJobStatus, wishes: tuple[RetrainWish, ...]) -> TrainingJobStatus:
    """Return the status with these requests marked as seen."""
    if not wishes:
        return status
    seen = {**(status.verdicts or {}), **{wish.monitor: wish.verdict for wish in wishes}}
    return status.model_copy(update={"verdicts": _bounded(seen, {wish.monitor for wish in wishes})})


def _unseen(status: TrainingJobStatus, wishes: tuple[RetrainWish, ...]) -> tuple[RetrainWish, ...]:
    seen = status.verdicts or {}
    return tuple(wish for wish in wishes if seen.get(wish.monitor) != wish.verdict)


def _is_outdated(status: TrainingJobStatus, wish: RetrainWish) -> bool:
    present = status.artifact.digest if status.artifact else None
    return wish.digest is not None and wish.digest != present


def _bounded(seen: Mapping[str, str], fresh: set[str]) -> dict[str, str]:
    """Return at most as many entries as status may hold; the fresh ones stay."""
    spare = [monitor for monitor in seen if monitor not in fresh][: max(0, len(seen) - MOST_VERDICTS)]
    return {monitor: verdict for monitor, verdict in seen.items() if monitor not in spare}
