"""The controller of ModelDeployments, as the runtime sees it."""

from perennial.api.modeldeployment.resource import ModelDeployment
from perennial.core.decision import Controller, Gauge
from perennial.core.gauges import condition_gauges
from perennial.core.kinds import MODEL_DEPLOYMENT
from perennial.serving.conditions import ROLLOUT_FAILED
from perennial.serving.decide import decide
from perennial.serving.observe import Observed, names, observe


def metrics(resource: ModelDeployment) -> tuple[Gauge, ...]:
    """Gauges of one ModelDeployment."""
    failed = any(item.type == ROLLOUT_FAILED and item.status == "True" for item in resource.status.conditions)
    return (
        *condition_gauges(MODEL_DEPLOYMENT, resource.status.conditions),
        Gauge(
            "perennial_model_ready_replicas",
            "Number of ready pods of the stable revision.",
            resource.status.ready_replicas,
        ),
        Gauge("perennial_model_replicas", "Number of pods of the stable revision.", resource.status.replicas),
        Gauge(
            "perennial_model_progressing",
            "1 while a revision is being rolled out, else 0.",
            float(resource.status.candidate is not None and resource.status.candidate.phase == "Progressing"),
        ),
        Gauge("perennial_model_rollout_failed", "1 if the newest revision has failed, else 0.", float(failed)),
    )


CONTROLLER: Controller[ModelDeployment, Observed] = Controller(
    kind=MODEL_DEPLOYMENT,
    parse=ModelDeployment.model_validate,
    names=names,
    observe=observe,
    decide=decide,
    metrics=metrics,
)
