"""Sweeps: one run that tries several sets of parameters, and whose best trial makes the model."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from perennial.api.common.base import Decimal, Digest, Model, Rule, ShortText, Timestamp, exactly_one, rules
from perennial.api.common.status import Metrics
from perennial.api.trainingjob.policies import Goal, MetricName

MOST_TRIALS = 64

ParameterName = Annotated[str, Field(max_length=63, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
Value = Annotated[str, Field(max_length=64)]
Values = Annotated[tuple[Value, ...], Field(min_length=1, max_length=MOST_TRIALS)]
_NAMES = {"x-perennial-key-pattern": r"^[A-Za-z_][A-Za-z0-9_]*$"}

Grid = Annotated[dict[str, Values], Field(min_length=1, max_length=8, json_schema_extra=_NAMES)]
Point = Annotated[dict[str, Value], Field(max_length=8, json_schema_extra=_NAMES)]


class Draw(Model):
    """Where a parameter's values are drawn from."""

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
                message="scale Log needs a min that is greater than 0",
            ),
        )
    }

    name: ParameterName = Field(description="Name of the parameter.")
    values: Values | None = Field(None, description="One of these.")
    min: Decimal | None = Field(None, description="A number that is not less than this.")
    max: Decimal | None = Field(None, description="A number that is not greater than this.")
    scale: Literal["Linear", "Log"] = Field(
        "Linear", description="Whether numbers, or their logarithms, are equally likely."
    )
    integer: bool = Field(False, description="Whole numbers only.")


class Objective(Model):
    """What makes a trial the best."""

    metric: MetricName = Field(description="Name in metrics.json. A trial without this metric has failed.")
    goal: Goal = Field("Maximize", description="Whether the greatest or the least value is the best.")


class Sweep(Model):
    """Sets of parameters to try, added to spec.parameters."""

    model_config = {
        "json_schema_extra": rules(
            exactly_one("grid", "random", "list"),
            Rule(rule="!has(self.random) || has(self.trials)", message="random needs trials: how many to draw"),
        )
    }

    grid: Grid | None = Field(None, description="Every combination of these values, at most 64.")
    random: Annotated[tuple[Draw, ...], Field(min_length=1, max_length=8)] | None = Field(
        None, description="Combinations drawn at random, from spec.seed (0 if unset): the same seed draws the same."
    )
    list: Annotated[tuple[Point, ...], Field(min_length=1, max_length=MOST_TRIALS)] | None = Field(
        None, description="These combinations."
    )
    trials: int | None = Field(
        None, ge=1, le=MOST_TRIALS, description="How many combinations are tried, at most. Unset: all of grid or list."
    )
    parallel: int = Field(1, ge=1, le=MOST_TRIALS, description="Trials that run at the same time.")
    max_failed: int = Field(
        3,
        ge=0,
        le=MOST_TRIALS,
        description="Failed trials with which a sweep goes on. One more, and it has failed.",
    )
    objective: Objective = Field(description="What makes a trial the best.")

    @model_validator(mode="after")
    def _bounded(self) -> "Sweep":
        count = 1
        for values in (self.grid or {}).values():
            count *= len(values)
        if count > MOST_TRIALS and self.trials is None:
            raise ValueError(
                f"grid has {count} combinations, more than {MOST_TRIALS}: take values away, or set trials to try only "
                "the first so many of them"
            )
        return self


class Trial(Model):
    """One set of parameters."""

    number: int = Field(description="Number of the trial, from 1.")
    phase: Literal["Pending", "Running", "Succeeded", "Failed", "Skipped"] = Field(
        description="Pending, Running (its Job is made), Succeeded, Failed or Skipped (the sweep ended without it)."
    )
    parameters: Point = Field(description="What it tries, beside spec.parameters.")
    attempt: int = Field(0, description="Number of its attempt, from 0.")
    failures: int = Field(0, description="Attempts that failed and count against retry.limit.")
    attempt_time: Timestamp | None = Field(None, description="When a failed attempt is to be repeated.")
    value: ShortText | None = Field(None, description="Its value of the objective's metric.")
    digest: Digest | None = Field(None, description="Digest of what it published.")
    message: Annotated[str, Field(max_length=256)] | None = Field(None, description="Why it failed.")


class BestTrial(Model):
    """The best trial so far."""

    trial: int = Field(description="Its number.")
    value: ShortText = Field(description="Its value of the objective's metric.")
    digest: Digest = Field(description="Digest of what it published.")
    time: Timestamp = Field(description="When it was published.")
    metrics: Metrics | None = Field(None, description="metrics.json of its output.")


class SweepStatus(Model):
    """The newest sweep."""

    run: ShortText = Field(description="Name of its run.")
    objective: Objective = Field(description="What makes a trial the best.")
    trials: Annotated[tuple[Trial, ...], Field(max_length=MOST_TRIALS)] = Field((), description="Its trials.")
    best: BestTrial | None = Field(None, description="The best trial so far, and in the end the run's model.")


__all__ = ["MOST_TRIALS", "BestTrial", "Objective", "Sweep", "SweepStatus", "Trial"]
