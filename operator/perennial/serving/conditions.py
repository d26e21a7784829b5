"""What the conditions of a ModelDeployment say, for kstatus, Argo CD and people.

The resource has reached its generation when the stable revision is what the spec describes. A newer model of the
TrainingJob that is followed changes nothing about that: its rollout shows in `Progressing`, its failure in
`RolloutFailed`, while `Ready` stays with what serves. A rollout that a change of the spec began is different: someone
waits for it, so it sets `Reconciling`, and `Stalled` when it fails.
"""

from dataclasses import dataclass
from datetime import timedelta

from perennial.api.modeldeployment.resource import ModelDeployment, Revision
from perennial.core.conditions import READY, RECONCILING, STALLED, Wanted, find, ready
from perennial.core.times import parse_time
from perennial.serving import reasons
from perennial.serving.health import Health
from perennial.serving.revision import runs_of, short
from perennial.serving.rollout.context import Context, State
from perennial.serving.scaling import Finding

PROGRESSING = "Progressing"
ROLLOUT_FAILED = "RolloutFailed"
AUTOSCALING = "Autoscaling"


@dataclass(frozen=True)
class ConditionInputs:
    """A state with what its conditions depend on."""

    state: State
    context: Context
    health: Health
    """Of the stable revision."""
    findings: tuple[Finding, ...] = ()
    """What keeps it from being scaled."""

    @property
    def resource(self) -> ModelDeployment:
        """Return the resource."""
        return self.context.observed.resource

    @property
    def serving(self) -> bool:
        """Tell whether anything answers."""
        return self.state.stable is not None and self.health.available > 0

    @property
    def reached(self) -> bool:
        """Tell whether the stable revision is what the present spec describes, if perhaps with an older model."""
        stable, shape = self.state.stable, self.context.shape
        if stable is None or shape is None or not shape.makes(stable):
            return False
        target = self.context.target
        if target is not None and target.hash == stable.hash:
            return True
        followed = self.resource.spec.model.training_job
        return followed is not None and runs_of(followed, stable.run)


def conditions_of(inputs: ConditionInputs) -> tuple[Wanted, ...]:
    """Return all conditions that should hold."""
    return (*_main(inputs), *_rollout(inputs), *_autoscaling(inputs))


def _main(inputs: ConditionInputs) -> tuple[Wanted, ...]:
    """Return Ready, and Reconciling or Stalled with it."""
    state, problem = inputs.state, inputs.context.problem
    if problem is not None and problem.fatal:
        return _held(STALLED, problem.reason, problem.message, inputs)
    if state.failed is not None:
        return _after_failure(inputs)
    if state.under_way is not None:
        return _steady(inputs) if inputs.reached else _under_way(inputs)
    if problem is not None and not inputs.reached:
        return _held(RECONCILING, problem.reason, problem.message, inputs)
    return _steady(inputs)


def _held(kind: str, reason: str, message: str, inputs: ConditionInputs) -> tuple[Wanted, ...]:
    """Return what holds while the generation is not reached; Ready speaks of what serves meanwhile."""
    stable = inputs.state.stable
    if stable is not None and inputs.serving:
        return (*ready(reasons.SERVING, _serving_text(inputs, stable)), Wanted(kind, "True", reason, message))
    return (Wanted(READY, "False", reason, message), Wanted(kind, "True", reason, message))


def _after_failure(inputs: ConditionInputs) -> tuple[Wanted, ...]:
    failed = inputs.state.failed
    if inputs.reached and inputs.serving:
        return _steady(inputs)
    reason = (failed.reason if failed else None) or reasons.PROGRESS_DEADLINE_EXCEEDED
    return _held(STALLED, reason, _failure_text(inputs), inputs)


def _under_way(inputs: ConditionInputs) -> tuple[Wanted, ...]:
    return _held(RECONCILING, *_progress(inputs), inputs)


def _steady(inputs: ConditionInputs) -> tuple[Wanted, ...]:
    """Return what holds while the stable revision is the one that is wanted: how it fares."""
    stable, health = inputs.state.stable, inputs.health
    if stable is None:
        return _held(RECONCILING, reasons.ROLLING_OUT, "the first revision is on its way", inputs)
    text = _serving_text(inputs, stable)
    if health.available == 0:
        cause = health.problem
        reason, why = (cause.reason, cause.message) if cause else (reasons.UNAVAILABLE, f"{health.slow}")
        return (Wanted(READY, "False", reason, f"no pod of {stable.name} answers: {why}"),)
    if health.available < inputs.resource.spec.replicas.min and not _settled_before(inputs):
        return _scaling(inputs, text)
    if health.available < inputs.resource.spec.replicas.min and health.problem is not None:
        return ready(reasons.DEGRADED, f"{text}; the others do not: {health.problem.message}")
    return ready(reasons.SERVING, text)


def _settled_before(inputs: ConditionInputs) -> bool:
    """Tell whether this generation was reached before: pods that go later make it degraded, not under way."""
    status = inputs.resource.status
    if status.observed_generation != inputs.resource.metadata.generation:
        return False
    return find(status.conditions, RECONCILING) is None and find(status.conditions, STALLED) is None


def _scaling(inputs: ConditionInputs, text: str) -> tuple[Wanted, ...]:
    """Return what holds while more replicas than there are were asked for; after the deadline a person must look."""
    cause = inputs.health.problem
    short_of = f"{text}, and {inputs.resource.spec.replicas.min} are wanted"
    message = f"{short_of}: {cause.message}" if cause else short_of
    over = scaling_deadline(inputs)
    if over is not None and over <= 0:
        return _held(STALLED, reasons.REPLICAS_UNAVAILABLE, message, inputs)
    return _held(RECONCILING, reasons.SCALING_UP, message, inputs)


def scaling_deadline(inputs: ConditionInputs) -> float | None:
    """Return the seconds left to reach the wanted number of replicas, or None where none is being waited for."""
    status, generation = inputs.resource.status, inputs.resource.metadata.generation
    seconds = inputs.resource.spec.rollout.progress_deadline_seconds
    if status.observed_generation != generation:
        return float(seconds)
    given_up = find(status.conditions, STALLED)
    if given_up is not None and given_up.reason == reasons.REPLICAS_UNAVAILABLE:
        return 0.0
    began = find(status.conditions, RECONCILING)
    if began is None:
        return float(seconds)
    try:
        since = parse_time(began.last_transition_time)
    except ValueError:
        return float(seconds)
    return (since + timedelta(seconds=seconds) - inputs.context.now).total_seconds()


def _rollout(inputs: ConditionInputs) -> tuple[Wanted, ...]:
    """Return how a new revision fares, whoever asked for it."""
    if inputs.state.failed is not None:
        reason = inputs.state.failed.reason or reasons.PROGRESS_DEADLINE_EXCEEDED
        return (Wanted(ROLLOUT_FAILED, "True", reason, _failure_text(inputs)),)
    if inputs.state.under_way is not None:
        return (Wanted(PROGRESSING, "True", *_progress(inputs)),)
    return ()


def _autoscaling(inputs: ConditionInputs) -> tuple[Wanted, ...]:
    """Say what keeps the autoscaler from doing what the spec wants."""
    if not inputs.findings:
        return ()
    message = "; ".join(item.message for item in inputs.findings)
    return (Wanted(AUTOSCALING, "False", inputs.findings[0].reason, message),)


def _progress(inputs: ConditionInputs) -> tuple[str, str]:
    candidate = inputs.state.under_way
    if candidate is None:
        return reasons.ROLLING_OUT, ""
    if candidate.reason is None:
        return reasons.ROLLING_OUT, f"{candidate.name} is starting with {short(candidate)}"
    state = "is" if candidate.reason in reasons.BY_HAND else "is not ready:"
    return candidate.reason, f"{candidate.name} with {short(candidate)} {state} {candidate.message or ''}"


def _failure_text(inputs: ConditionInputs) -> str:
    failed = inputs.state.failed
    if failed is None:
        return ""
    way_out = (
        "It serves as soon as the cause is gone"
        if inputs.state.kept is not None
        else "It is not tried again: change the spec or publish another model"
    )
    return f"{failed.name} with {short(failed)} failed: {failed.message or failed.reason}. {way_out}"


def _serving_text(inputs: ConditionInputs, stable: Revision) -> str:
    health = inputs.health
    return f"{health.available} of {max(health.replicas, health.available)} pods of {stable.name} serve {short(stable)}"
