"""Sweeps: a run that trains several parameter sets and takes the model of the best trial."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from perennial.api.common.base import Decimal, Digest, Model, Rule, ShortText, Timestamp, exactly_one, rules
from perennial.api.common.status import Metrics
from perennial.api.trainingjob.policies import Goal, MetricName

MOST_TRIALS = 64

ParameterName = Annotated[str, Field(max_length=63, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
Value = Annotated[str, Field(max_length=64)]
Values = Annotated[
    tuple[Value, ...],
    Field(min_length=1, max_length=MOST_TRIALS, json_schema_extra={"x-kubernetes-list-type": "set"}),
]
_NAMES = {"x-perennial-key-pattern": r"^[A-Za-z_][A-Za-z0-9_]*$"}

Grid = Annotated[dict[str, Values], Field(min_length=1, max_length=8, json_schema_extra=_NAMES)]
Point = Annotated[dict[str, Value], Field(max_length=8, json_schema_extra=_NAMES)]


class Draw(Model):
    """Distribution from which the values of a parameter are drawn."""

    model_config = {
        "json_schema_extra": rules(
            Rule(
                rule="has(self.values) ? !has(self.min) && !has(self.max) : has(self.min) && has(self.max)",
                message="set values, or min and max",
            ),
            Rule(
                rule="!has(self.min) || !has(self.max) || double(self.min) < double(self.max)",
                message="min must be less than max",
            ),
            Rule(
                rule="self.scale != 'Log' || !has(self.min) || double(self.min) > 0.0",
                message="scale Log requires a min greater than 0",
            ),
        )
    }

    name: ParameterName = Field(description="Name of the parameter.")
    values: Values | None = Field(None, description="Values to choose from.")
    min: Decimal | None = Field(None, description="Lower bound of a number.")
    max: Decimal | None = Field(None, description="Upper bound of a number.")
    scale: Literal["Linear", "Log"] = Field(
        "Linear", description="Linear: uniform distribution; Log: uniform distribution of the logarithm."
    )
    integer: bool = Field(False, description="Draw integers only.")


class Objective(Model):
    """The metric by which trials are compared."""

    metric: MetricName = Field(description="Name of the metric in metrics.json. A trial without it has failed.")
    goal: Goal = Field("Maximize", description="Whether the highest or the lowest value is the best.")


class Sweep(Model):
    """Parameter sets to try, each added to spec.parameters."""

    model_config = {
        "json_schema_extra": rules(
            exactly_one("grid", "random", "list"),
            Rule(
                rule="!has(self.random) || has(self.trials)",
                message="random requires trials, the number of parameter sets to draw",
            ),
        )
    }

    grid: Grid | None = Field(None, description="Every combination of these values, at most 64.")
    random: Annotated[tuple[Draw, ...], Field(min_length=1, max_length=8)] | None = Field(
        None, description="Random combinations. The same spec.seed (0 if unset) always gives the same combinations."
    )
    list: Annotated[tuple[Point, ...], Field(min_length=1, max_length=MOST_TRIALS)] | None = Field(
        None, description="Explicit combinations."
    )
    trials: int | None = Field(
        None, ge=1, le=MOST_TRIALS, description="Maximum number of combinations to try. Default: all of grid or list."
    )
    parallel: int = Field(1, ge=1, le=MOST_TRIALS, description="Maximum number of trials that run at the same time.")
    max_failed: int = Field(
        3,
        ge=0,
        le=MOST_TRIALS,
        description="Number of failed trials that are tolerated. With one more, the sweep has failed.",
    )
    objective: Objective = Field(description="The metric by which trials are compared.")

    @model_validator(mode="after")
    def _bounded(self) -> "Sweep":
        count = 1
        for values in (self.grid or {}).values():
            count *= len(set(values))
        if count > MOST_TRIALS and self.trials is None:
            raise ValueError(
                f"grid has {count} combinations, more than {MOST_TRIALS}: remove values, or set trials to limit "
                "their number"
            )
        return self


class Trial(Model):
    """One parameter set of a sweep."""

    number: int = Field(description="Number of the trial, from 1.")
    phase: Literal["Pending", "Running", "Succeeded", "Failed", "Skipped"] = Field(
        description="Pending, Running, Succeeded, Failed or Skipped (the sweep ended before it started)."
    )
    parameters: Point = Field(description="Its parameters, in addition to spec.parameters.")
    attempt: int = Field(0, description="Number of its attempt, from 0.")
    failures: int = Field(0, description="Number of failed attempts; they count against retry.limit.")
    attempt_time: Timestamp | None = Field(None, description="When a failed attempt will be retried.")
    value: ShortText | None = Field(None, description="Its value of the objective's metric.")
    digest: Digest | None = Field(None, description="Digest of the version that it published.")
    message: Annotated[str, Field(max_length=256)] | None = Field(None, description="Why it failed.")


class BestTrial(Model):
    """The best trial so far."""

    trial: int = Field(description="Its number.")
    value: ShortText = Field(description="Its value of the objective's metric.")
    digest: Digest = Field(description="Digest of the version that it published.")
    time: Timestamp = Field(description="When it was published.")
    metrics: Metrics | None = Field(None, description="metrics.json of its output.")


class SweepStatus(Model):
    """The newest sweep."""

    run: ShortText = Field(description="Name of its run.")
    objective: Objective = Field(description="The metric by which trials are compared.")
    trials: Annotated[tuple[Trial, ...], Field(max_length=MOST_TRIALS)] = Field((), description="Trials of the sweep.")
    best: BestTrial | None = Field(None, description="The best trial so far. Its model becomes the model of the run.")


__all__ = ["MOST_TRIALS", "BestTrial", "Objective", "Sweep", "SweepStatus", "Trial"]
