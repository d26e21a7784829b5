"""Judge of what `perennial agent replay` measured: a candidate's answers to captured requests."""

from dataclasses import replace

from perennial.api.contract import messages
from perennial.api.contract.messages import Replayed
from perennial.api.modeldeployment.evaluation import ReplayGate
from perennial.core.waiting import clean
from perennial.serving.gates.judgement import Judgement
from perennial.serving.gates.limits import Interval, Limit, judge


def judge_replay(gate: ReplayGate, found: Replayed) -> Judgement:
    """Judge agreement, distance, errors and response time, as far as the gate limits them."""
    wanted = (
        ("agreement", found.agreement, gate.min_agreement, None, "rows"),
        ("numeric distance", found.distance, None, gate.max_numeric_distance, "numbers"),
        ("error rate", found.errors, None, gate.max_error_rate, "requests"),
        ("latency ratio", found.latency, None, gate.max_latency_ratio, "requests"),
    )
    figures = {"requests": f"{found.requests}"}
    limits: list[Limit] = []
    unknown: list[str] = []
    for name, measured, least, most, unit in wanted:
        interval = _interval(measured, unit)
        if interval is not None:
            figures[name] = interval.words
        if least is None and most is None:
            continue
        if interval is None:
            unknown.append(f"{name} is not judged: {clean(measured.why or 'it was not measured')}")
            continue
        limits.append(_limit(name, interval, _number(least), _number(most)))
    return _combined(limits, unknown, figures, found)


def _limit(name: str, interval: Interval, least: float | None, most: float | None) -> Limit:
    """Build a limit. One that allows no exception is judged by the value: an interval always allows some."""
    strict = least == 1 or most == 0
    return Limit(name, replace(interval, low=interval.value, high=interval.value) if strict else interval, least, most)


def _combined(limits: list[Limit], unknown: list[str], figures: dict[str, str], found: Replayed) -> Judgement:
    """What is known to be broken counts, whatever else is unknown."""
    judged = judge(limits, figures) if limits else None
    if judged is not None and (judged.verdict == "Failed" or not unknown):
        error = f"; the candidate's most frequent error: {clean(found.error)}" if found.error else ""
        return Judgement(judged.verdict, f"{judged.message}{error if judged.verdict != 'Passed' else ''}", figures)
    skipped = f" (left out: {clean(', '.join(found.skipped))})" if found.skipped else ""
    return Judgement("Inconclusive", "; ".join(unknown) + skipped, figures)


def _interval(measured: messages.Interval, unit: str) -> Interval | None:
    if measured.value is None:
        return None
    return Interval.of(measured.value, measured.low, measured.high, measured.count, unit)


def _number(text: str | None) -> float | None:
    return None if text is None else float(text)
