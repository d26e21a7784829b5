"""What a run's model must reach before it becomes the artifact that deployments follow."""

from typing import Annotated, Literal

from pydantic import Field

from perennial.api.base import Decimal, Model, Rule, exactly_one, rules

MetricName = Annotated[str, Field(min_length=1, max_length=63)]
Goal = Literal["Maximize", "Minimize"]


class Criterion(Model):
    """One condition on a metric of the run's metrics.json."""

    model_config = {
        "json_schema_extra": rules(
            exactly_one("min", "max", "notWorseThanCurrentBy"),
            Rule(
                rule="!has(self.notWorseThanCurrentBy) || !self.notWorseThanCurrentBy.startsWith('-')",
                message="notWorseThanCurrentBy is a distance: it must not be negative",
            ),
        )
    }

    metric: MetricName = Field(description="Name in metrics.json. A run without this metric is rejected.")
    min: Decimal | None = Field(None, description="Least value that is accepted.")
    max: Decimal | None = Field(None, description="Greatest value that is accepted.")
    not_worse_than_current_by: Decimal | None = Field(
        None,
        description="How much worse than the present artifact's value it may be. Met where there is no artifact, or "
        "its run did not report the metric.",
    )
    goal: Goal = Field("Maximize", description="Whether more or less of the metric is better, for the comparison.")


Acceptance = Annotated[tuple[Criterion, ...], Field(max_length=16)]
