"""What starts a TrainingJob's runs besides its creation and its spec, and the record of why one was started."""

from typing import Literal

from pydantic import Field

from perennial.api.base import Model, Period, ShortText, Timestamp

TriggerKind = Literal["Created", "SpecChanged", "Manual", "Drift", "Schedule"]


class Trigger(Model):
    """Why a run was started."""

    kind: TriggerKind = Field(
        description="Created, SpecChanged (a new generation), Manual (the annotation perennial.dev/run-now), Drift (a "
        "DriftMonitor's verdict) or Schedule."
    )
    chain: ShortText | None = Field(
        None,
        description="What the run, its artifact and its rollouts have in common: the verdict that began it all, or "
        "else the name of the run.",
    )
    monitor: ShortText | None = Field(None, description="DriftMonitor whose verdict asked for the run.")
    verdict: ShortText | None = Field(None, description="Identity of that verdict.")
    token: ShortText | None = Field(None, description="Value of the annotation perennial.dev/run-now.")
    time: Timestamp | None = Field(None, description="Time of the schedule that the run is for.")


class History(Model):
    """How many ended runs are remembered, and for how long."""

    runs: int = Field(10, ge=1, le=50, description="Ended runs kept in status, with their Jobs.")
    ttl: Period | None = Field(
        None,
        description="How long a run is remembered after its end, such as 7d: then its Job and its record go. The "
        "records of the newest run and of the newest success stay, so that nothing runs again for want of them. "
        "Unset: no limit.",
    )
