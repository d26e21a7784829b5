"""Init containers for the steps of `spec.prepare`, which run one after the other before the training."""

from typing import Any

from perennial.api.contract.settings import OperatorConfig
from perennial.api.trainingjob.policies import PrepareStep
from perennial.api.trainingjob.resource import CurrentRun, TrainingJob
from perennial.core.pod_options import users_security
from perennial.training.job.env import environment

PREFIX = "prepare-"


def prepare_containers(
    resource: TrainingJob, run: CurrentRun, config: OperatorConfig, mounts: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Return one init container for each step, in order."""
    return [
        {
            **_fields(step, resource.spec.image),
            "env": environment(resource, run, config, step.env),
            "volumeMounts": mounts,
            "securityContext": users_security(resource.spec, config.pods),
            "terminationMessagePolicy": "FallbackToLogsOnError",
        }
        for step in resource.spec.prepare or ()
    ]


def step_of(container: str) -> str | None:
    """Return the name of the step that a container runs; None for other containers."""
    return container.removeprefix(PREFIX) if container.startswith(PREFIX) else None


def _fields(step: PrepareStep, image: str) -> dict[str, Any]:
    given = step.dump()
    wanted = ("imagePullPolicy", "command", "args", "resources")
    return {
        "name": f"{PREFIX}{step.name}",
        "image": step.image or image,
        **{name: given[name] for name in wanted if name in given},
    }
