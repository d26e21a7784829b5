"""Stopping and going on of a Job that no queue owns, so that its deadline counts only the time in which it ran."""

from datetime import datetime
from typing import Any

from perennial.core.clock import seconds_since
from perennial.core.decision import Apply
from perennial.core.kinds import JOB
from perennial.training.observe import OwnedJob

SUSPEND_MANAGER = "perennial-suspend"
"""Field manager of what is written here: fields that a queue owns where there is one."""


def suspension(job: OwnedJob, now: datetime, *, suspend: bool) -> Apply:
    """Return what suspends a Job or lets it go on.

    Kubernetes starts `activeDeadlineSeconds` anew when a Job goes on. So what is left of it is written in the same
    request that suspends: nothing else has to be remembered, and doing it again changes nothing.
    """
    meta = job.metadata
    return Apply(
        {
            "apiVersion": JOB.api_version,
            "kind": JOB.kind,
            "metadata": {"name": meta.name, "namespace": meta.namespace},
            "spec": {"suspend": suspend, **_deadline(job, now, suspend=suspend)},
        },
        manager=SUSPEND_MANAGER,
    )


def _deadline(job: OwnedJob, now: datetime, *, suspend: bool) -> dict[str, Any]:
    limit = job.spec.active_deadline_seconds
    if limit is None:
        return {}
    ran = max(seconds_since(job.status.start_time, now, otherwise=0.0), 0.0) if suspend else 0.0
    return {"activeDeadlineSeconds": max(limit - int(ran), 1)}
