"""Current data of a DriftMonitor: a sliding window, a calendar window, or files."""

from typing import Annotated, Literal

from pydantic import Field

from perennial.api.common.base import Duration, Model, Period, S3Uri, Timestamp, exactly_one, rules

CalendarUnit = Literal["Hour", "Day", "Week", "Month"]


class Calendar(Model):
    """Windows that follow each other without overlap: the newest one that has ended is compared."""

    unit: CalendarUnit = Field(
        description="Hour, Day (midnight to midnight), Week (from Monday, as in ISO 8601) or Month, in spec.timeZone. "
        "Hours are those of UTC."
    )
    delay: Duration = Field(
        "15m",
        description="Time after the end of a window for which its requests may still arrive. A window is compared once "
        "it has ended this long ago, so let the schedule start a comparison later than that.",
    )


class Current(Model):
    """Current data, usually captured requests."""

    model_config = {"json_schema_extra": rules(exactly_one("window", "calendar", "uri"))}

    window: Period | None = Field(
        None, description="Period of the target's captured requests to compare, such as 24h or 7d, up to now."
    )
    calendar: Calendar | None = Field(
        None,
        description="Compare the target's captured requests of the last full hour, day, week or month. Each request "
        "is in one window; comparing a window again neither counts nor triggers retraining a second time.",
    )
    uri: S3Uri | None = Field(
        None, description="Parquet, CSV or JSON lines files to compare instead of captured requests."
    )


class CalendarWindow(Model):
    """One calendar window."""

    name: Annotated[
        str, Field(max_length=17, pattern=r"^[0-9]{4}-(W[0-9]{2}|[0-9]{2}(-[0-9]{2}(T[0-9]{2}:00Z)?)?)$")
    ] = Field(description="Name, such as 2026-01-31T09:00Z, 2026-01-31, 2026-W05 or 2026-01.")
    since: Timestamp = Field(description="Its start.")
    until: Timestamp = Field(description="Its end, which is not part of it.")
