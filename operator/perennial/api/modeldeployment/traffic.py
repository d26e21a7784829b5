"""Names of the series by which a model server counts its requests."""

from typing import Annotated

from pydantic import Field

from perennial.api.common.base import Model

MetricName = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[a-zA-Z_:][a-zA-Z0-9_:]*$")]
LabelName = Annotated[str, Field(max_length=64)]
LabelPattern = Annotated[str, Field(max_length=128)]
LabelPatterns = Annotated[
    dict[LabelName, LabelPattern],
    Field(max_length=8, json_schema_extra={"x-perennial-key-pattern": r"^[a-zA-Z_][a-zA-Z0-9_]*$"}),
]


class Series(Model):
    """Series of one metric."""

    metric: MetricName = Field(
        description="Name of a counter as it stands in the output, such as http_requests_total, or x_count of a "
        "histogram x; for latency the histogram's name without _bucket."
    )
    labels: LabelPatterns | None = Field(
        None,
        description="Labels that a series must have, with * for any text, such as status: 5*. Choose the paths of "
        "predictions, since health checks are requests as well.",
    )


SeriesList = Annotated[tuple[Series, ...], Field(min_length=1, max_length=8)]


class TrafficMetrics(Model):
    """Prometheus series of a model server that tell its requests, errors and latency."""

    requests: SeriesList = Field(description="Counters whose sum is the number of predictions asked for.")
    errors: SeriesList | None = Field(
        None,
        description="Counters whose sum is the number of those that failed by the server's fault. Unset: error rates "
        "cannot be judged.",
    )
    latency: SeriesList | None = Field(
        None, description="Histograms of their durations in seconds. Unset: latency cannot be judged."
    )
