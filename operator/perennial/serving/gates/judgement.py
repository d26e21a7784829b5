"""The result of a judge, and how it becomes a status entry that is not rewritten with every new figure."""

from dataclasses import dataclass, field
from datetime import datetime

from perennial.api.modeldeployment.gates import Gate, GateStatus, Verdict
from perennial.core.conditions import shorten
from perennial.core.times import format_time, moment_of, parse_duration, seconds_since

MIN_WRITE_SECONDS = 30.0
"""New figures of the same verdict are written to status no more often: every write is an event for all watchers."""
_LONGEST = 512


@dataclass(frozen=True)
class Judgement:
    """Verdict of one gate at one moment."""

    verdict: Verdict
    message: str
    figures: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Window:
    """The time that gates judge: since a step began, or since the candidate was ready."""

    began: str
    """As written to status."""
    now: datetime

    def is_over(self, gate: Gate, *later: datetime | None) -> bool:
        """Tell whether the gate has had its initial delay since the window began, or since a later moment."""
        began = moment_of(self.began) or self.now
        since = max(moment for moment in (began, *later) if moment is not None)
        return self.now >= min(since, self.now) + parse_duration(gate.initial_delay)


def names_of(gates: tuple[Gate, ...]) -> tuple[str, ...]:
    """Names of the gates, all different: their own, or their kind; a repeated one gets a number."""
    found: list[str] = []
    for gate in gates:
        base = gate.name or kind_of(gate)
        number = 1
        name = base
        while name in found:
            number += 1
            name = f"{base}-{number}"
        found.append(name)
    return tuple(found)


def kind_of(gate: Gate) -> str:
    """Kind of a gate: the field of the union that is set."""
    return next((name for name in gate.dump() if name not in {"name", "initialDelay"}), "unknown")


def entry(gate: Gate, name: str, judged: Judgement, known: tuple[GateStatus, ...], now: datetime) -> GateStatus:
    """Status entry of a gate; the known one while the verdict is the same and it is recent."""
    made = GateStatus(
        name=name,
        type=kind_of(gate),
        verdict=judged.verdict,
        figures=judged.figures or None,
        message=shorten(judged.message, _LONGEST),
        time=format_time(now),
    )
    before = next((item for item in known if item.name == name), None)
    if before is None or (before.type, before.verdict) != (made.type, made.verdict):
        return made
    same = (before.figures, before.message) == (made.figures, made.message)
    age = seconds_since(before.time, now, otherwise=MIN_WRITE_SECONDS)
    return before if same or 0 <= age < MIN_WRITE_SECONDS else made
