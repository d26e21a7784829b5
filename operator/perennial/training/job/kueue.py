"""Jobs in a Kueue queue: how they are marked, and what belongs to Kueue alone from then on.

Kueue admits a Job by unsuspending it and evicts it by suspending it again, and writes node selectors, tolerations,
parallelism and gates on the way. So Perennial makes such a Job suspended and then only reads it.
"""

from typing import Any

from perennial.api.trainingjob.resource import TrainingJobSpec
from perennial.core.labels import PRIORITY_LABEL, QUEUE_LABEL
from perennial.training.observe import OwnedJob


def queue_labels(spec: TrainingJobSpec) -> dict[str, str]:
    """Return the labels that put a Job into the queue. They belong on the Job only, not on its pods."""
    if spec.queue is None:
        return {}
    priority = {PRIORITY_LABEL: spec.queue.priority_class} if spec.queue.priority_class else {}
    return {QUEUE_LABEL: spec.queue.name, **priority}


def queue_fields(spec: TrainingJobSpec) -> dict[str, Any]:
    """Return the fields of a Job's spec that a queue asks for: it must not start before it is admitted."""
    return {"suspend": True} if spec.queue is not None else {}


def queue_of(job: OwnedJob) -> str | None:
    """Return the queue that starts and stops a Job. Its own label says so: the spec may have changed since."""
    return job.metadata.labels.get(QUEUE_LABEL)
