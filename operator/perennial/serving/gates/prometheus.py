"""The gate of a PromQL query."""

import re
from datetime import timedelta

from perennial.api.modeldeployment.gates import Gate, PrometheusGate
from perennial.core.reads import Measurement
from perennial.serving.gates.judgement import Judgement, Window

READ_SECONDS = 10.0
STALE = timedelta(seconds=4 * READ_SECONDS + 30)
"""An older answer is none: four reads have failed, the last one by its timeout."""

_VARIABLE = re.compile(r"\$(namespace|name|revision|stable)\b")


def query_of(gate: PrometheusGate, *, namespace: str, name: str, revision: str, stable: str) -> str:
    """Replace the variables of a query. All values are DNS labels, which need no quoting in PromQL."""
    values = {"namespace": namespace, "name": name, "revision": revision, "stable": stable}
    return _VARIABLE.sub(lambda found: values[found[1]], gate.query)


def judge_query(gate: Gate, wanted: PrometheusGate, answer: Measurement | None, window: Window) -> Judgement:
    """Judge the newest answer to the query; only an answer from after the initial delay counts."""
    if answer is None or answer.value is None or answer.time < window.now - STALE:
        return _without_data(answer, gate, window)
    value = _text(answer.value)
    figures = {"value": value, **_limits(wanted)}
    if not window.is_over(gate):
        return Judgement("Pending", f"{value} so far; judged {gate.initial_delay} after the start", figures)
    if wanted.max is not None and answer.value > float(wanted.max):
        return Judgement("Failed", f"{value} is above the limit {wanted.max}", figures)
    if wanted.min is not None and answer.value < float(wanted.min):
        return Judgement("Failed", f"{value} is below the limit {wanted.min}", figures)
    return Judgement("Passed", f"{value} is within the limits", figures)


def _without_data(answer: Measurement | None, gate: Gate, window: Window) -> Judgement:
    """Without a number the gate waits for its delay, counted from the newest number, and then fails.

    A failed read is an answer as well. So no answer at all means that the operator has not asked yet, and nothing fails
    because the operator was away.
    """
    if answer is None:
        return Judgement("Pending", "the Prometheus server has not been asked yet")
    late = answer.time < window.now - STALE
    why = f"the Prometheus server has not answered since {answer.time:%H:%M:%S} UTC" if late else answer.problem
    if window.is_over(gate, answer.known, answer.began):
        return Judgement("Failed", f"not judged for {gate.initial_delay}: {why}")
    return Judgement("Pending" if answer.known is None else "Inconclusive", why)


def _limits(gate: PrometheusGate) -> dict[str, str]:
    return {key: value for key, value in (("min", gate.min), ("max", gate.max)) if value is not None}


def _text(value: float) -> str:
    """A number with six significant digits."""
    return f"{value:.6g}"
