"""Jobs in a Kueue queue: their labels, and the field that Kueue owns.

Kueue admits a Job by resuming it and evicts it by suspending it, and sets node selectors,
tolerations, parallelism and scheduling gates. So Perennial creates such a Job suspended and then
does not write to it.
"""

from typing import Any

from perennial.api.kubernetes import Job
from perennial.api.trainingjob.resource import TrainingJobSpec
from perennial.core.labels import PRIORITY_LABEL, QUEUE_LABEL


def queue_labels(spec: TrainingJobSpec) -> dict[str, str]:
    """Return the labels that put a Job into the queue; for the Job only, not for its pods."""
    if spec.queue is None:
        return {}
    priority = {PRIORITY_LABEL: spec.queue.priority_class} if spec.queue.priority_class else {}
    return {QUEUE_LABEL: spec.queue.name, **priority}


def queue_fields(spec: TrainingJobSpec) -> dict[str, Any]:
    """Return the field of a Job's spec that keeps it from starting before Kueue admits it."""
    return {"suspend": True} if spec.queue is not None else {}


def queue_of(job: Job) -> str | None:
    """Return the queue that a Job is in, from its label: the spec may have changed since."""
    return job.metadata.labels.get(QUEUE_LABEL)
