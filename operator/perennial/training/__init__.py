"""The training room: what follows from a TrainingJob, its Jobs and pods, and the DriftMonitors that name it.

`observe` gathers, `decide` decides, `build` makes the Job, `classify` and `progress` read the pod, `runs` and `states`
shape the status.
"""

from perennial.training.controller import CONTROLLER

__all__ = ["CONTROLLER"]
