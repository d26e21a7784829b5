"""The controller of ModelDeployments, as the runtime sees it."""

from perennial.api.modeldeployment.resource import ModelDeployment
from perennial.api.modeldeployment.revisions import Candidate
from perennial.core.decision import Controller, Gauge
from perennial.core.gauges import condition_gauges
from perennial.core.kinds import MODEL_DEPLOYMENT
from perennial.serving.audit import facts
from perennial.serving.conditions import ROLLOUT_FAILED
from perennial.serving.decide import decide
from perennial.serving.observe import Observed, names, observe


def metrics(resource: ModelDeployment) -> tuple[Gauge, ...]:
    """Gauges of one ModelDeployment."""
    status = resource.status
    failed = any(item.type == ROLLOUT_FAILED and item.status == "True" for item in status.conditions)
    candidate = status.candidate if status.candidate is not None and status.candidate.phase == "Progressing" else None
    return (
        *condition_gauges(MODEL_DEPLOYMENT, status.conditions),
        Gauge("perennial_model_ready_replicas", "Number of ready pods of the stable revision.", status.ready_replicas),
        Gauge("perennial_model_replicas", "Number of pods of the stable revision.", status.replicas),
        Gauge(
            "perennial_model_progressing",
            "1 while a revision is being rolled out, else 0.",
            float(candidate is not None),
        ),
        Gauge("perennial_model_rollout_failed", "1 if the newest revision has failed, else 0.", float(failed)),
        *_weights(candidate),
    )


def _weights(candidate: Candidate | None) -> tuple[Gauge, ...]:
    """Wanted and reached weight; both 0 without a canary, so that a graph shows its end."""
    wanted = (candidate.weight if candidate is not None else None) or 0
    reached = (candidate.reached_weight if candidate is not None else None) or 0
    return (
        Gauge(
            "perennial_model_candidate_weight",
            "Percentage of the requests that the candidate of a canary should receive; 0 without one.",
            wanted,
        ),
        Gauge(
            "perennial_model_candidate_reached_weight",
            "Percentage of the requests that the candidate of a canary receives; 0 without one.",
            reached,
        ),
    )


CONTROLLER: Controller[ModelDeployment, Observed] = Controller(
    kind=MODEL_DEPLOYMENT,
    parse=ModelDeployment.model_validate,
    names=names,
    observe=observe,
    decide=decide,
    metrics=metrics,
    facts=facts,
)
