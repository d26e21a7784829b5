"""Repairs the fields of a Job that Kubernetes lets anyone edit while it runs.

With `parallelism: 0` a Job has no pods and never ends; with another number of completions it waits for workers that
the training does not have. Kueue owns these fields of a Job in a queue.
"""

from perennial.api.kubernetes import Job
from perennial.core.decision import Apply
from perennial.core.kinds import JOB

REPAIR_MANAGER = "perennial-repair"
"""Field manager of the repaired fields."""


def repair(job: Job, workers: int) -> Apply | None:
    """Return the change that gives a Job its number of pods again; None if it has it."""
    spec = job.spec
    if spec.parallelism == spec.completions == workers and not spec.backoff_limit:
        return None
    fields = {"parallelism": workers, "completions": workers, "backoffLimit": 0}
    return Apply(
        {
            "apiVersion": JOB.api_version,
            "kind": JOB.kind,
            "metadata": {"name": job.metadata.name, "namespace": job.metadata.namespace},
            "spec": fields,
        },
        manager=REPAIR_MANAGER,
    )
