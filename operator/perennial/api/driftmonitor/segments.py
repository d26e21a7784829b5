"""Segments of a DriftMonitor: parts of the data that are compared by themselves."""

from typing import Annotated

from pydantic import Field

from perennial.api.common.base import Decimal, Model, ShortText
from perennial.api.driftmonitor.checks import ColumnName

Few = Annotated[int, Field(ge=0, le=2**53)]
"""A number of rows or values that a float64 holds exactly."""


class Segment(Model):
    """A column whose values divide the data."""

    column: ColumnName = Field(
        description="Column of the inputs, or of the labels, such as region. Each of its values, as text, is a segment."
    )
    min_rows: int = Field(
        100,
        ge=10,
        le=1000000000,
        description="Minimum number of rows of a segment, in both reference and current data, to be judged. Segments "
        "with fewer are named in the report with their number of rows.",
    )
    max_values: int = Field(
        20,
        ge=1,
        le=100,
        description="Maximum number of values that are judged, those most frequent in the current data first. The "
        "report counts the others.",
    )


Segments = Annotated[tuple[Segment, ...], Field(min_length=1, max_length=4)]


class WorstSegment(Model):
    """The segment that deviates most."""

    column: ShortText = Field(description="Column that divides the data.")
    value: ShortText = Field(description="Its value in this segment, as text.")
    deviates: bool = Field(description="Whether it has drifted, or a check of performance or fairness failed in it.")
    drifted_features: Few | None = Field(
        None, description="Number of columns that have drifted in it. Unset: its columns were not compared."
    )
    compared_features: Few | None = Field(None, description="Number of columns that were compared in it.")
    failed: Annotated[tuple[ShortText, ...], Field(max_length=3)] = Field(
        (), description="Checks that failed in it, then its columns with the most drift; at most three."
    )
    badness: Decimal | None = Field(
        None,
        description="Score of its column with the most drift, relative to the threshold: 1 is at the threshold. Unset: "
        "its columns were not compared.",
    )


class SegmentsVerdict(Model):
    """What a comparison found in segments."""

    deviate: bool | None = Field(
        None,
        description="Whether the columns of any segment have drifted to the share checks.drift.share, or a check of "
        "performance or fairness failed in one. Unset: none did, but a column of spec.segments could not be judged.",
    )
    judged: Few = Field(description="Number of segments that were judged.")
    deviating: Few = Field(0, description="Number of them that deviate.")
    not_judged: Few = Field(0, description="Number of values that were not judged, such as those with too few rows.")
    why: Annotated[str, Field(max_length=200)] | None = Field(
        None, description="Why a column of spec.segments could not be judged."
    )
    worst: WorstSegment | None = Field(None, description="The segment that deviates most. Unset: none was judged.")
