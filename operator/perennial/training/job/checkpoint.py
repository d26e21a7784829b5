"""Where the checkpoints of an attempt are kept."""

from perennial.api.contract.checkpoint import CheckpointPlace
from perennial.api.trainingjob.resource import CurrentRun, TrainingJob
from perennial.core.times import parse_duration


def checkpoint_place(resource: TrainingJob, run: CurrentRun) -> CheckpointPlace | None:
    """Return the place of a run's present attempt; None if checkpoints are not kept.

    It has the uid of the TrainingJob: one that is made anew under the same name must not resume from what it was.
    """
    checkpoint, meta = resource.spec.checkpoint, resource.metadata
    if checkpoint is None or resource.spec.output is None:
        return None
    return CheckpointPlace(
        uri=f"{checkpoint.uri.rstrip('/')}/{meta.namespace}/{meta.name}/{meta.uid}",
        number=run.number,
        run=run.name,
        attempt=run.attempt,
        every=int(parse_duration(checkpoint.every).total_seconds()),
    )
