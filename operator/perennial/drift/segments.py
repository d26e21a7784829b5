"""The condition SegmentDeviates, present only if the spec has segments."""

from perennial.api.driftmonitor.resource import DriftMonitorSpec
from perennial.api.driftmonitor.segments import SegmentsVerdict, WorstSegment
from perennial.api.driftmonitor.status import Verdict
from perennial.core.conditions import Truth, Wanted, shorten
from perennial.core.waiting import clean
from perennial.drift import finding_reasons, reasons

SEGMENT_DEVIATES = "SegmentDeviates"


def segments_of(verdict: Verdict | None, spec: DriftMonitorSpec) -> tuple[Wanted, ...]:
    """Build SegmentDeviates.

    Args:
        verdict: the newest verdict about the model that is served, if there is one.
        spec: names the segments.
    """
    if not spec.segments:
        return ()
    if verdict is None:
        text = "no verdict about the current model yet"
        return (Wanted(SEGMENT_DEVIATES, "Unknown", reasons.NO_VERDICT_YET, text),)
    found = verdict.segments
    if found is None:
        text = "the newest comparison began before spec.segments was set"
        return (Wanted(SEGMENT_DEVIATES, "Unknown", finding_reasons.NOT_JUDGED, text),)
    if found.deviate is None:
        return (Wanted(SEGMENT_DEVIATES, "Unknown", finding_reasons.NOT_JUDGED, shorten(_summary(found))),)
    truth: Truth = "True" if found.deviate else "False"
    reason = finding_reasons.SEGMENT_BEYOND_LIMIT if found.deviate else finding_reasons.SEGMENTS_HOLD
    return (Wanted(SEGMENT_DEVIATES, truth, reason, shorten(_summary(found))),)


def printable(found: SegmentsVerdict | None) -> SegmentsVerdict | None:
    """Return what was found with texts cleaned: they come from the data."""
    if found is None:
        return None
    worst = found.worst
    named = worst and worst.model_copy(
        update={
            "column": clean(worst.column),
            "value": clean(worst.value),
            "failed": tuple(clean(text) for text in worst.failed),
        }
    )
    return found.model_copy(update={"why": clean(found.why) if found.why else None, "worst": named})


def _summary(found: SegmentsVerdict) -> str:
    """One line: how many segments deviate, the worst of them, and what was not judged."""
    counts = f"{found.deviating} of {found.judged} segments deviate"
    worst = f"; {'worst' if found.deviating else 'closest'}: {_worst(found.worst)}" if found.worst else ""
    left = f"; {found.not_judged} values not judged" if found.not_judged else ""
    why = f"; {found.why}" if found.why else ""
    return f"{counts}{worst}{left}{why}"


def _worst(worst: WorstSegment) -> str:
    columns = (
        f", {worst.drifted_features} of {worst.compared_features} columns drifted" if worst.compared_features else ""
    )
    failed = f" ({', '.join(worst.failed)})" if worst.failed else ""
    return f"{worst.column} = {worst.value}{columns}{failed}"
