"""Suspends and resumes Jobs that are not in a queue, so that their deadline counts running time only."""

from datetime import datetime
from typing import Any

from perennial.api.kubernetes import Job
from perennial.core.decision import Apply
from perennial.core.kinds import JOB
from perennial.core.times import seconds_since

SUSPEND_MANAGER = "perennial-suspend"
"""Field manager of `suspend` and the deadline; for Jobs in a queue, Kueue owns these fields."""


def suspension(job: Job, now: datetime, *, suspend: bool) -> Apply:
    """Return the change that suspends or resumes a Job.

    Kubernetes restarts `activeDeadlineSeconds` when a Job is resumed. So the same request that
    suspends also sets the deadline to the time that is left. No other state is needed, and
    repeating the request changes nothing.
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


def _deadline(job: Job, now: datetime, *, suspend: bool) -> dict[str, Any]:
    limit = job.spec.active_deadline_seconds
    if limit is None:
        return {}
    ran = max(seconds_since(job.status.start_time, now, otherwise=0.0), 0.0) if suspend else 0.0
    return {"activeDeadlineSeconds": max(limit - int(ran), 1)}
