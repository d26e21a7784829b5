"""Conditions of a ModelDeployment, for kstatus, Argo CD and people.

A generation is reached when the stable revision is what the spec describes. A newer model of the followed TrainingJob
does not change that: its rollout shows in `Progressing`, its failure in `RolloutFailed`, and `Ready` keeps describing
what serves. A rollout caused by a change of the spec sets `Reconciling`, and `Stalled` when it fails.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from perennial.api.modeldeployment.resource import ModelDeployment
from perennial.api.modeldeployment.revisions import Revision
from perennial.core.conditions import READY, RECONCILING, STALLED, Wanted, find, ready
from perennial.core.labels import RETRY_ANNOTATION
from perennial.core.problem import Problem
from perennial.core.times import parse_time
from perennial.serving import reasons
from perennial.serving.health import Health
from perennial.serving.revision import model_title, runs_of
from perennial.serving.rollout.context import Context, State
from perennial.serving.rollout.routing import route_problem
from perennial.serving.rollout.sleep import may_sleep
from perennial.serving.rollout_reasons import RECREATING, ROLLING_OUT, ROUTED, UNDER_WAY

PROGRESSING = "Progressing"
ROLLOUT_FAILED = "RolloutFailed"
AUTOSCALING = "Autoscaling"
SPLIT_LIMITED = "SplitLimited"
ROUTE_ACCEPTED = "RouteAccepted"
_METRICS_PATIENCE = timedelta(seconds=45)
"""Metrics of new pods take up to half a minute to arrive."""


@dataclass(frozen=True)
class ConditionInputs:
    """The rollout state, and what else the conditions depend on."""

    state: State
    context: Context
    health: Health
    """Of the stable revision."""
    scaling_problems: tuple[Problem, ...] = ()
    """What keeps the autoscaler from working."""
    split_problem: Problem | None = None
    """What keeps a canary's weight from being met."""
    keda_problem: Problem | None = None
    """What keeps KEDA from scaling, and from waking a model that sleeps."""
    without_metrics: tuple[datetime, Problem] | None = None
    """Since when the autoscaler gets no metrics, and what to do."""

    @property
    def resource(self) -> ModelDeployment:
        """The ModelDeployment."""
        return self.context.observed.resource

    @property
    def beside(self) -> Health:
        """Health of the candidate while it shares the traffic with the stable revision."""
        return self.context.health(self.state.candidate) if self.state.splitting is not None else Health()

    @property
    def available(self) -> int:
        """Number of available pods that take requests."""
        return self.health.available + self.beside.available

    @property
    def serving(self) -> bool:
        """Tell whether any pod of the stable revision is available."""
        return self.state.stable is not None and self.health.available > 0

    @property
    def asleep(self) -> bool:
        """Tell whether KEDA has removed the last pod of the stable revision, as replicas.min 0 allows."""
        observed, stable = self.context.observed, self.state.stable
        known = observed.deployment(stable.name) if stable is not None else None
        allowed = may_sleep(self.state, self.context) and self.keda_problem is None and not self.stopped
        return allowed and known is not None and known.spec.replicas == 0 and self.health.available == 0

    @property
    def waking(self) -> bool:
        """Tell whether the stable revision has slept, and its first pod is starting without a problem so far."""
        if self.state.stable is None or self.resource.spec.replicas.min > 0 or self.as_wanted or self.stopped:
            return False
        known = self.context.observed.deployment(self.state.stable.name)
        started = known is not None and known.spec.replicas > 0
        return self.health.problem is None and (started or self.keda_problem is None)

    @property
    def as_wanted(self) -> bool:
        """Tell whether the stable revision serves, or sleeps until a trigger wakes it."""
        return self.serving or self.asleep

    @property
    def stopped(self) -> bool:
        """Tell whether the stable revision was stopped for the candidate."""
        progress = self.state.own_progress
        return progress is not None and progress.strategy == "Recreate" and self.health.available == 0

    @property
    def reached(self) -> bool:
        """Tell whether the stable revision is what the present spec describes, possibly with an older model."""
        stable, shape = self.state.stable, self.context.shape
        if stable is None or shape is None or not shape.makes(stable):
            return False
        target = self.context.target
        if target is not None and target.hash == stable.hash:
            return True
        followed = self.resource.spec.model.training_job
        return followed is not None and runs_of(followed, stable.run)


def conditions_of(inputs: ConditionInputs) -> tuple[Wanted, ...]:
    """All conditions that should be set."""
    return (*_main(inputs), *_rollout(inputs), *_splitting(inputs), *_routing(inputs), *_autoscaling(inputs))


def _main(inputs: ConditionInputs) -> tuple[Wanted, ...]:
    """Ready, with Reconciling or Stalled."""
    state, problem = inputs.state, inputs.context.problem
    if problem is not None and problem.fatal:
        return _not_reached(STALLED, problem.reason, problem.message, inputs)
    if state.failed is not None:
        return _after_failure(inputs)
    if state.progressing is not None:
        return _serving(inputs) if inputs.reached else _progressing(inputs)
    if problem is not None and not inputs.reached:
        return _not_reached(RECONCILING, problem.reason, problem.message, inputs)
    return _serving(inputs)


def _not_reached(kind: str, reason: str, message: str, inputs: ConditionInputs) -> tuple[Wanted, ...]:
    """Conditions while the generation is not reached; Ready describes what serves meanwhile."""
    stable = inputs.state.stable
    if stable is not None and inputs.as_wanted:
        answer = reasons.SCALED_TO_ZERO if inputs.asleep else reasons.SERVING
        return (*ready(answer, _serving_text(inputs, stable)), Wanted(kind, "True", reason, message))
    return (Wanted(READY, "False", reason, message), Wanted(kind, "True", reason, message))


def _after_failure(inputs: ConditionInputs) -> tuple[Wanted, ...]:
    failed = inputs.state.failed
    if inputs.reached and inputs.as_wanted:
        return _serving(inputs)
    reason = (failed.reason if failed else None) or reasons.PROGRESS_DEADLINE_EXCEEDED
    return _not_reached(STALLED, reason, _failure_text(inputs), inputs)


def _progressing(inputs: ConditionInputs) -> tuple[Wanted, ...]:
    return _not_reached(RECONCILING, *_progress(inputs), inputs)


def _serving(inputs: ConditionInputs) -> tuple[Wanted, ...]:
    """Conditions while the stable revision is the wanted one: its health."""
    stable, health = inputs.state.stable, inputs.health
    if stable is None:
        return _not_reached(RECONCILING, ROLLING_OUT, "the first revision is being created", inputs)
    text = _serving_text(inputs, stable)
    if health.available == 0:
        return _without_pods(inputs, stable)
    if inputs.available < inputs.resource.spec.replicas.min and not _was_reached(inputs):
        return _scaling(inputs, text)
    if inputs.available < inputs.resource.spec.replicas.min and health.problem is not None:
        return ready(reasons.DEGRADED, f"{text}; the others are not ready: {health.problem.message}")
    return ready(reasons.SERVING, text)


def _without_pods(inputs: ConditionInputs, stable: Revision) -> tuple[Wanted, ...]:
    """Conditions while no pod of the wanted revision is available: stopped, asleep or waking on purpose, or broken."""
    if inputs.stopped:
        return (Wanted(READY, "False", RECREATING, f"{stable.name} is stopped: {_progress(inputs)[1]}"),)
    if inputs.asleep:
        return ready(reasons.SCALED_TO_ZERO, _serving_text(inputs, stable))
    cause = inputs.health.problem or _not_awake(inputs)
    reason, why = (cause.reason, cause.message) if cause else (reasons.UNAVAILABLE, f"{inputs.health.slow}")
    return (Wanted(READY, "False", reason, f"no pod of {stable.name} is available: {why}"),)


def _not_awake(inputs: ConditionInputs) -> Problem | None:
    """Find why a model that may sleep has no pod; None for any other."""
    if inputs.waking:
        return Problem(reasons.WAKING, f"it has slept and wakes, {inputs.health.slow}")
    return inputs.keda_problem if inputs.resource.spec.replicas.min == 0 else None


def _was_reached(inputs: ConditionInputs) -> bool:
    """Tell whether this generation was reached before: losing pods later means degraded, not reconciling."""
    status = inputs.resource.status
    if status.observed_generation != inputs.resource.metadata.generation:
        return False
    return find(status.conditions, RECONCILING) is None and find(status.conditions, STALLED) is None


def _scaling(inputs: ConditionInputs, text: str) -> tuple[Wanted, ...]:
    """Conditions while the number of available pods is below replicas.min; Stalled after the deadline."""
    cause = inputs.health.problem
    short_of = f"{text}, {inputs.resource.spec.replicas.min} are wanted"
    message = f"{short_of}: {cause.message}" if cause else short_of
    over = scaling_deadline(inputs)
    if over is not None and over <= 0:
        return _not_reached(STALLED, reasons.REPLICAS_UNAVAILABLE, message, inputs)
    return _not_reached(RECONCILING, reasons.SCALING_UP, message, inputs)


def scaling_deadline(inputs: ConditionInputs) -> float | None:
    """Seconds left to reach the wanted number of replicas."""
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
    """Conditions of the rollout, whatever caused it."""
    if inputs.state.failed is not None:
        reason = inputs.state.failed.reason or reasons.PROGRESS_DEADLINE_EXCEEDED
        return (Wanted(ROLLOUT_FAILED, "True", reason, _failure_text(inputs)),)
    if inputs.state.progressing is not None:
        return (Wanted(PROGRESSING, "True", *_progress(inputs)),)
    return ()


def _splitting(inputs: ConditionInputs) -> tuple[Wanted, ...]:
    """SplitLimited is True while a canary's weight cannot be met."""
    problem = inputs.split_problem
    return (Wanted(SPLIT_LIMITED, "True", problem.reason, problem.message),) if problem is not None else ()


def _routing(inputs: ConditionInputs) -> tuple[Wanted, ...]:
    """RouteAccepted tells whether the gateway of spec.route serves the route."""
    asked = inputs.resource.spec.route
    if asked is None:
        return ()
    problem = route_problem(inputs.context)
    if problem is not None:
        return (Wanted(ROUTE_ACCEPTED, "False", problem.reason, problem.message),)
    return (Wanted(ROUTE_ACCEPTED, "True", ROUTED, f"Gateway {asked.gateway.name} serves the route"),)


def _autoscaling(inputs: ConditionInputs) -> tuple[Wanted, ...]:
    """Autoscaling is False when something keeps the autoscaler from working."""
    over = metrics_deadline(inputs)
    unmeasured = (inputs.without_metrics[1],) if inputs.without_metrics is not None and over == 0 else ()
    waiting = (inputs.keda_problem,) if inputs.keda_problem is not None else ()
    problems = (*inputs.scaling_problems, *waiting) or unmeasured
    if not problems:
        return ()
    message = "; ".join(item.message for item in problems)
    return (Wanted(AUTOSCALING, "False", problems[0].reason, message),)


def metrics_deadline(inputs: ConditionInputs) -> float | None:
    """Seconds until missing metrics are reported, at least 0; None while they are not missing."""
    if inputs.without_metrics is None:
        return None
    since, _ = inputs.without_metrics
    return max(0.0, (since + _METRICS_PATIENCE - inputs.context.now).total_seconds())


def _progress(inputs: ConditionInputs) -> tuple[str, str]:
    candidate = inputs.state.progressing
    if candidate is None:
        return ROLLING_OUT, ""
    if candidate.reason is None:
        return ROLLING_OUT, f"{candidate.name} is starting with {model_title(candidate)}"
    state = "is" if candidate.reason in UNDER_WAY else "is not ready:"
    return candidate.reason, f"{candidate.name} with {model_title(candidate)} {state} {candidate.message or ''}"


def _failure_text(inputs: ConditionInputs) -> str:
    failed = inputs.state.failed
    if failed is None:
        return ""
    way_out = (
        "It serves as soon as the problem is resolved"
        if inputs.state.active_candidate is not None
        else f"To retry it, set the annotation {RETRY_ANNOTATION}={failed.name}; or change the spec, or publish "
        "another model"
    )
    return f"{failed.name} with {model_title(failed)} failed: {failed.message or failed.reason}. {way_out}"


def _serving_text(inputs: ConditionInputs, stable: Revision) -> str:
    health = inputs.health
    total = max(health.replicas, health.available)
    ignored = f"; {inputs.state.ignored_abort}" if inputs.state.ignored_abort else ""
    if inputs.asleep:
        asked = (item.trigger for item in inputs.resource.spec.autoscaling or ())
        wakers = ", ".join(dict.fromkeys(item.type for item in asked if item is not None))
        return f"{stable.name} with {model_title(stable)} sleeps without pods; woken by: {wakers}{ignored}"
    return f"{health.available} of {total} pods of {stable.name} serve {model_title(stable)}{ignored}"
