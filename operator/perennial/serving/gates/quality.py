"""Judges of what `perennial agent evaluate` measured: performance and fairness on labelled rows."""

from perennial.api.contract.messages import Asked, Evaluated, Measured
from perennial.api.modeldeployment.evaluation import EvaluationGate, FairnessGate
from perennial.core.waiting import clean
from perennial.serving.gates.judgement import Judgement
from perennial.serving.gates.limits import Interval, Limit, judge

_TOO_MANY = 0.05
"""Share of rows without an answer from which a revision counts as failing; the agent measures no metric then."""
_RATIOS = frozenset({"disparateImpact", "demographicParityRatio"})
_WITHOUT_SIGN = "Gap"


def judge_evaluation(gate: EvaluationGate, found: Evaluated) -> Judgement:
    """Judge a performance metric: its own limits, and its difference from the stable revision on the same rows."""
    measured = _measured(gate.metric, found)
    if isinstance(measured, Judgement):
        return measured
    value = Interval.of(measured.value or "0", measured.low, measured.high, measured.rows)
    limits = []
    figures = {"candidate": value.words, "rows": f"{measured.rows}", **_limits(gate.min, gate.max)}
    if gate.min is not None or gate.max is not None:
        limits.append(Limit(gate.metric, value, _number(gate.min), _number(gate.max)))
    margin = gate.not_worse_than_stable_by
    if measured.stable is not None and measured.gain is not None:
        gain = Interval.of(measured.gain, measured.gain_low, measured.gain_high, measured.rows)
        figures |= {"stable": measured.stable, "gain": gain.words}
        if margin is not None:
            figures["notWorseThanStableBy"] = margin
            limits.append(Limit(f"the gain in {gate.metric} over the stable revision", gain, least=-float(margin)))
    elif margin is not None:
        return Judgement("Inconclusive", "the stable revision was not measured, so nothing can be compared", figures)
    return judge(limits, figures)


def judge_fairness(gate: FairnessGate, found: Evaluated) -> Judgement:
    """Judge a fairness metric of the candidate by the limits of the gate, or else the defaults of a DriftMonitor."""
    measured = _measured(gate.metric, found)
    if isinstance(measured, Judgement):
        return measured
    value = Interval.of(measured.value or "0", measured.low, measured.high, measured.rows)
    least, most = _fair_limits(gate)
    figures = {"candidate": value.words, "rows": f"{measured.rows}"}
    if measured.subject:
        figures["groups"] = clean(measured.subject, 64)
    if measured.stable is not None:
        figures["stable"] = measured.stable
    figures |= {name: f"{limit:g}" for name, limit in (("min", least), ("max", most)) if limit is not None}
    return judge((Limit(f"{gate.metric} of {clean(measured.subject or '', 100)}", value, least, most),), figures)


def _measured(metric: str, found: Evaluated) -> Measured | Judgement:
    """Return the result of a metric, or the verdict where there is none."""
    silent = _unanswered(found)
    if silent is not None:
        return silent
    measured = next((item for item in found.results if item.metric == metric), None)
    if measured is None:
        return Judgement("Inconclusive", f"{metric} was not measured")
    if measured.value is None:
        return Judgement("Inconclusive", f"{metric} is not judged: {clean(measured.why or '')}")
    return measured


def _unanswered(found: Evaluated) -> Judgement | None:
    """Judge a candidate that fails to answer; where stable fails as well, the rows or their form are to blame."""
    if not _is_failing(found.candidate):
        return None
    if found.stable is None or _is_failing(found.stable):
        said = f"{_failures('candidate', found.candidate)}, and no stable revision answered them either"
        return Judgement("Inconclusive", f"{said}: check the gate's request and data.features")
    said = f"{_failures('candidate', found.candidate)}; {_failures('stable revision', found.stable)}"
    figures = {"candidateFailed": f"{found.candidate.failed}", "stableFailed": f"{found.stable.failed}"}
    return Judgement("Failed", said, {**figures, "rows": f"{found.candidate.rows}"})


def _is_failing(asked: Asked) -> bool:
    return not asked.rows or asked.failed > _TOO_MANY * asked.rows


def _failures(who: str, asked: Asked) -> str:
    error = f" ({clean(asked.error)})" if asked.error else ""
    return f"the {who} did not answer {asked.failed:,} of {asked.rows:,} rows{error}"


def _fair_limits(gate: FairnessGate) -> tuple[float | None, float | None]:
    """Limits of the gate; without any the four-fifths rule for ratios and 0.1 for differences, as in a DriftMonitor."""
    if gate.min is not None or gate.max is not None:
        return _number(gate.min), _number(gate.max)
    if gate.metric in _RATIOS:
        return 0.8, 1.25 if gate.metric == "disparateImpact" else None
    return (None if gate.metric.endswith(_WITHOUT_SIGN) else -0.1), 0.1


def _number(text: str | None) -> float | None:
    return None if text is None else float(text)


def _limits(least: str | None, most: str | None) -> dict[str, str]:
    return {name: text for name, text in (("min", least), ("max", most)) if text is not None}
