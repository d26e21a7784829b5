"""The training controller, as the runtime registers it."""

from collections.abc import Mapping
from typing import Any

from perennial.api.trainingjob.resource import TrainingJob
from perennial.core.decision import Controller
from perennial.core.kinds import TRAINING_JOB, Key
from perennial.training.decide import decide
from perennial.training.observe import Observed, observe


def names(raw: Mapping[str, Any]) -> tuple[Key, ...]:  # noqa: ARG001 - the signature of every controller
    """Return nothing: a TrainingJob refers to no other resource of ours; DriftMonitors refer to it."""
    return ()


CONTROLLER: Controller[TrainingJob, Observed] = Controller(
    kind=TRAINING_JOB,
    parse=TrainingJob.model_validate,
    names=names,
    observe=observe,
    decide=decide,
)
