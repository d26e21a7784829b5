"""Distributed training: number of workers, and the framework whose variables connect them."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from perennial.api.common.base import Rule
from perennial.api.common.pod_options import PodExtras

Framework = Literal["none", "torch", "jax", "tensorflow", "xgboost"]

RENDEZVOUS_PORTS: dict[Framework, int] = {
    "none": 29500,
    "torch": 29500,
    "jax": 29500,
    "tensorflow": 2222,
    "xgboost": 9091,
}
"""TCP port on which worker 0 (with TensorFlow every worker) listens for the others."""

RESERVED: dict[Framework, tuple[str, ...]] = {
    "torch": ("PET_NNODES", "PET_NPROC_PER_NODE", "PET_NODE_RANK", "PET_MASTER_ADDR", "PET_MASTER_PORT"),
    "jax": ("JAX_NUM_PROCESSES", "JAX_PROCESS_ID", "JAX_COORDINATOR_ADDRESS"),
    "tensorflow": ("TF_CONFIG",),
    "xgboost": ("DMLC_TRACKER_URI", "DMLC_TRACKER_PORT", "DMLC_TASK_ID", "DMLC_NUM_WORKER"),
}
"""Variables that Perennial sets for a framework; a user's value would keep the workers from connecting."""


def _reserved_rule(framework: Framework, names: tuple[str, ...]) -> Rule:
    listed = ", ".join(f"'{name}'" for name in names)
    return Rule(
        rule=f"self.framework != '{framework}' || !has(self.env) || !self.env.exists(e, e.name in [{listed}])",
        message=f"framework {framework}: {', '.join(names)} are set by Perennial; remove them from env",
    )


DISTRIBUTION_RULES: tuple[Rule, ...] = (
    *(_reserved_rule(framework, names) for framework, names in RESERVED.items()),
    Rule(
        rule="!has(self.processesPerWorker) || self.framework == 'torch'",
        message="processesPerWorker is for framework torch; remove it, or set framework: torch",
    ),
)


def _as_text(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


ProcessCount = Annotated[
    str,
    Field(max_length=4, pattern=r"^(auto|[1-9][0-9]{0,2})$", json_schema_extra={"x-kubernetes-int-or-string": True}),
    BeforeValidator(_as_text),
]


class Distribution(PodExtras):
    """Fields of the spec for training on several pods."""

    framework: Framework = Field(
        "none",
        description="Framework whose environment variables are set in the workers: torch (PET_*, for plain "
        "`torchrun train.py`), jax (JAX_*), tensorflow (TF_CONFIG), xgboost (DMLC_*). With several workers, "
        "PERENNIAL_WORKER_INDEX, PERENNIAL_WORKERS and PERENNIAL_LEADER are always set; none sets only these.",
    )
    workers: int = Field(
        1,
        ge=1,
        le=512,
        description="Number of pods that train together. Each one has the resources and the inputs; only the "
        "/perennial/output of worker 0 is published. If one fails, all are stopped and the attempt has failed.",
    )
    processes_per_worker: ProcessCount | None = Field(
        None,
        description="Number of processes that torchrun starts in each worker, or auto (one per visible GPU). "
        "Default: auto if resources request a GPU, otherwise the requested CPUs, rounded up.",
    )


__all__ = ["DISTRIBUTION_RULES", "RENDEZVOUS_PORTS", "RESERVED", "Distribution", "Framework", "ProcessCount"]
