"""The TrainingJob controller. Imports go one way: decide → sweep → run → attempt → context → observe → job.

- `observe` reads the cache, `decide` returns the next step, `conditions` and `build` add conditions and children.
- `sweep` runs trials, `run` starts, follows, ends and records runs, `attempt` judges one Job and its pods.
- `job` builds that Job.
"""

from perennial.training.controller import CONTROLLER

__all__ = ["CONTROLLER"]
