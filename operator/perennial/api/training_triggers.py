"""What starts a TrainingJob's runs besides its creation and its spec, and the record of why one was started."""

from typing import Annotated, Literal

from pydantic import Field

from perennial.api.base import Digest, Model, Period, ShortText, Timestamp

TriggerKind = Literal["Created", "SpecChanged", "Manual", "Drift", "NewData", "Schedule"]


class Trigger(Model):
    """Why a run was started."""

    kind: TriggerKind = Field(
        description="Created, SpecChanged (a new generation), Manual (the annotation perennial.dev/run-now), Drift (a "
        "DriftMonitor's verdict), NewData (the inputs have changed) or Schedule."
    )
    chain: ShortText | None = Field(
        None,
        description="What the run, its artifact and its rollouts have in common: the verdict that began it all, or "
        "else the name of the run.",
    )
    monitor: ShortText | None = Field(None, description="DriftMonitor whose verdict asked for the run.")
    verdict: ShortText | None = Field(None, description="Identity of that verdict.")
    token: ShortText | None = Field(None, description="Value of the annotation perennial.dev/run-now.")
    digest: ShortText | None = Field(None, description="What the new data was, as in status.data.")
    time: Timestamp | None = Field(None, description="Time of the schedule that the run is for.")


class NewData(Model):
    """New data under the inputs starts a run."""

    poll: Annotated[str, Field(max_length=8, pattern=r"^[1-9][0-9]{0,3}(m|h|d)$")] = Field(
        description="How often the inputs are listed, such as 10m, by a small pod of the agent; nothing is read. A run "
        "starts when two polls in a row see the same change (an object that came, went, or has another size or ETag)."
    )


class DataSeen(Model):
    """What the inputs held, by their listing."""

    inputs: ShortText = Field(description="Hash of the inputs' URIs.")
    digest: Digest = Field(description="sha256 over the names, sizes and ETags of their objects.")
    files: int = Field(ge=0, le=2**53, description="How many objects there were.")
    bytes: int = Field(ge=0, le=2**53, description="Their size in all.")


class History(Model):
    """How many ended runs are remembered, and for how long."""

    runs: int = Field(10, ge=1, le=50, description="Ended runs kept in status, with their Jobs.")
    ttl: Period | None = Field(
        None,
        description="How long a run is remembered after its end, such as 7d: then its Job and its record go. The "
        "records of the newest run and of the newest success stay, so that nothing runs again for want of them. "
        "Unset: no limit.",
    )
