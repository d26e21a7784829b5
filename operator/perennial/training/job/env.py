"""Environment variables of the user's containers: the run, the worker, and the user's own."""

from typing import Any

from perennial.api.common.pod import Env, shared_env_name
from perennial.api.contract.commands import CHECKPOINT, INPUTS, OUTPUT
from perennial.api.contract.settings import OperatorConfig
from perennial.api.trainingjob.resource import CurrentRun, TrainingJob
from perennial.training.job.rendezvous import worker_env


def environment(
    resource: TrainingJob, run: CurrentRun, config: OperatorConfig, own: Env | None
) -> list[dict[str, Any]]:
    """Return our variables, then the user's, which may refer to ours as $(NAME) and override PYTHONHASHSEED."""
    meta, spec = resource.metadata, resource.spec
    seed = {} if spec.seed is None else {"PERENNIAL_SEED": str(spec.seed), "PYTHONHASHSEED": str(spec.seed)}
    ours = {
        "PERENNIAL_NAMESPACE": meta.namespace,
        "PERENNIAL_JOB": meta.name,
        "PERENNIAL_RUN": run.name,
        "PERENNIAL_ATTEMPT": str(run.attempt),
        "PERENNIAL_INPUTS": INPUTS,
        "PERENNIAL_OUTPUT": OUTPUT,
        **({"PERENNIAL_CHECKPOINT": CHECKPOINT} if spec.checkpoint is not None else {}),
        **seed,
        **{shared_env_name(name): value for name, value in (spec.parameters or {}).items()},
    }
    theirs = [item.dump() for item in own or () if not item.name.startswith("PERENNIAL_")]
    taken = {item["name"] for item in theirs}
    return [
        # Kubernetes expands $(NAME) in values; parameters must arrive unchanged.
        *({"name": name, "value": value.replace("$", "$$")} for name, value in ours.items() if name not in taken),
        *worker_env(resource, run.job, config),
        *theirs,
    ]
