"""How an attempt ended, in the terms in which the room goes on from it."""

from dataclasses import dataclass
from typing import Literal

from perennial.api.messages import Published
from perennial.core.decision import EventNote

Ending = Literal["Succeeded", "Disrupted", "Failed", "Fatal"]


@dataclass(frozen=True)
class Outcome:
    """How an attempt ended.

    - Succeeded: the code ended with 0 and the output, where one is declared, was published.
    - Disrupted: the cluster took the pod away; repeated, and not counted.
    - Failed: repeated until `retry.limit` is reached.
    - Fatal: repeating cannot help; a person must change something.
    """

    ending: Ending
    reason: str
    message: str
    published: Published | None = None
    exit_code: int | None = None
    """Of the user's code, where that is what ended the attempt."""


def end_note(run: str, result: str, outcome: Outcome) -> EventNote:
    """Return the Event about the end of a run."""
    made = f" and published {outcome.published.digest}" if outcome.published else ""
    if result == "Succeeded":
        return EventNote("Normal", outcome.reason, f"run {run} succeeded{made}")
    told = f"succeeded{made}, which is not accepted" if result == "Rejected" else "failed"
    return EventNote("Warning", outcome.reason, f"run {run} {told}: {outcome.message}")
