"""Waiting for quota: a queue of Kueue."""

from pydantic import Field

from perennial.api.base import Model, Name, ObjectName


class Queue(Model):
    """The Kueue queue that admits the runs."""

    name: Name = Field(
        description="LocalQueue in this namespace. A run's Job waits in it, suspended, until Kueue admits it. Its "
        "suspension, parallelism, node selector, tolerations and scheduling gates are Kueue's alone: spec.suspend "
        "takes the Job out of the queue, and to go on makes another."
    )
    priority_class: ObjectName | None = Field(
        None,
        description="WorkloadPriorityClass: who is admitted first, and who is evicted for whom. Unset: Kueue decides.",
    )
