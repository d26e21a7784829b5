"""What a run was made of, as the sidecar writes it into the manifest. Pure."""

from perennial.api.manifest import Recipe
from perennial.api.trainingjob import CurrentRun, TrainingJobSpec


def recipe_of(spec: TrainingJobSpec, run: CurrentRun) -> Recipe:
    """Return what is needed, beside its inputs, to run a run of this spec again."""
    resources = spec.resources
    return Recipe(
        image=spec.image,
        command=spec.command,
        args=spec.args,
        working_dir=spec.working_dir,
        environment=tuple(item.name for item in spec.env or ()),
        prepare=tuple(step.image or spec.image for step in spec.prepare or ()),
        source=spec.source,
        parameters=dict(spec.parameters or {}),
        seed=spec.seed,
        framework=spec.framework,
        workers=spec.workers,
        requests=dict(resources.requests or {}) if resources else {},
        limits=dict(resources.limits or {}) if resources else {},
        trigger=run.trigger.kind,
        started=run.start_time,
    )
