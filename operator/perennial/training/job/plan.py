"""Identity of a run: spec hash, names, the plan on its Job and the recipe in the manifest."""

import re

from pydantic import ValidationError

from perennial.api.common.base import Model
from perennial.api.common.pod import Image, Input, Source
from perennial.api.contract.manifest import Recipe
from perennial.api.trainingjob.resource import CurrentRun, Output, ParameterMap, TrainingJobSpec
from perennial.core.names import child_name, digest_of
from perennial.core.times import canonical_time

MAX_JOB_NAME_LENGTH = 57
"""Pods of an Indexed Job append `-<index>` to its name, and the result is limited to 63 characters."""

MAX_NUMBER = 10**9 - 2
"""Largest number of a run or attempt: the next one still has nine digits."""

_NOT_HASHED: dict[str, bool | set[str]] = {
    "suspend": True,
    "history": True,
    "on_change": True,
    "retry": True,
    "checkpoint": True,
    "schedule": True,
    "time_zone": True,
    "starting_deadline_seconds": True,
    "acceptance": True,
    "new_data": True,
    "queue": True,
    "pod_annotations": True,
    "pod_labels": True,
    "sweep": {"parallel", "max_failed"},
}
_TRIAL_SUFFIX = re.compile(r"-([1-9][0-9]{0,8})-t([1-9][0-9]{0,2})-(0|[1-9][0-9]{0,8})$")
_SUFFIX = re.compile(r"-(0|[1-9][0-9]{0,8})-(0|[1-9][0-9]{0,8})$")


class Lineage(Model):
    """The part of a spec that the record of a run stores."""

    image: Image
    parameters: ParameterMap | None = None
    seed: int | None = None
    source: Source | None = None
    inputs: tuple[Input, ...] | None = None
    output: Output | None = None


class RunPlan(Model):
    """A run, and the spec that it was started with."""

    run: CurrentRun
    lineage: Lineage
    spec: TrainingJobSpec | None = None
    """Spec of the run, from which its next attempts are created if the TrainingJob's has changed; None on Jobs of
    earlier releases."""


def run_hash(spec: TrainingJobSpec) -> str:
    """Return the hash of the fields that affect what a run computes, not when or how often it runs.

    Defaults are left out, so that a field added by a later release does not retrain every model.
    """
    return digest_of(
        spec.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True, exclude=_NOT_HASHED)
    )


def lineage_of(spec: TrainingJobSpec) -> Lineage:
    """Return the part of the spec that the record of its run stores."""
    return Lineage(
        image=spec.image,
        parameters=spec.parameters,
        seed=spec.seed,
        source=spec.source,
        inputs=spec.inputs,
        output=spec.output,
    )


def with_policies(own: TrainingJobSpec, present: TrainingJobSpec) -> TrainingJobSpec:
    """Return a run's own spec with the present values of the fields that do not affect what it computes."""
    update: dict[str, object] = {name: getattr(present, name) for name, whole in _NOT_HASHED.items() if whole is True}
    if own.sweep is not None and present.sweep is not None:
        limits = {"parallel": present.sweep.parallel, "max_failed": present.sweep.max_failed}
        update["sweep"] = own.sweep.model_copy(update=limits)
    return own.model_copy(update=update)


def run_name(resource: str, number: int) -> str:
    """Return `<name>-<number>`."""
    return child_name(resource, str(number))


def job_name(resource: str, number: int, attempt: int) -> str:
    """Return `<name>-<number>-<attempt>`, short enough for an Indexed Job."""
    return child_name(resource, f"{number}-{attempt}", MAX_JOB_NAME_LENGTH)


def trial_run_name(resource: str, number: int, trial: int) -> str:
    """Return `<name>-<number>-t<trial>`, the run name that a trial's code and its manifest get."""
    return child_name(resource, f"{number}-t{trial}")


def trial_job_name(resource: str, number: int, trial: int, attempt: int) -> str:
    """Return `<name>-<number>-t<trial>-<attempt>`, short enough for an Indexed Job."""
    return child_name(resource, f"{number}-t{trial}-{attempt}", MAX_JOB_NAME_LENGTH)


def trial_numbers_of(resource: str, job: str) -> tuple[int, int, int] | None:
    """Return run, trial and attempt from a Job's name; None if it is not the name of a trial's Job."""
    match = _TRIAL_SUFFIX.search(job)
    if match is None:
        return None
    number, trial, attempt = int(match[1]), int(match[2]), int(match[3])
    return (number, trial, attempt) if job == trial_job_name(resource, number, trial, attempt) else None


def numbers_of(resource: str, job: str) -> tuple[int, int] | None:
    """Return run and attempt from a Job's name; None if it is not the name of a run's Job.

    The name is used because, unlike labels, it cannot be edited.
    """
    match = _SUFFIX.search(job)
    if match is None:
        return None
    number, attempt = int(match[1]), int(match[2])
    return (number, attempt) if job == job_name(resource, number, attempt) else None


def plan_text(plan: RunPlan) -> str:
    """Return the annotation that holds a plan, without fields that have their default."""
    return plan.model_dump_json(by_alias=True, exclude_none=True, exclude_defaults=True)


def read_plan(text: str | None) -> RunPlan | None:
    """Return the plan in an annotation; None if it is missing or invalid."""
    try:
        plan = RunPlan.model_validate_json(text) if text else None
    except ValidationError:
        return None
    moments = (plan.run.start_time, plan.run.attempt_time) if plan is not None else ()
    return plan if all(canonical_time(moment) for moment in moments) else None


def recipe_of(spec: TrainingJobSpec, run: CurrentRun) -> Recipe:
    """Return what is needed, besides the inputs, to reproduce the run."""
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
