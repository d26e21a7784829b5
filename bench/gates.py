"""How often gates of live traffic end a healthy rollout, and how soon they end a bad one: a simulation of the decision.

    python3 tools/dev.py python -m bench.gates

Each rollout is a canary of 5, 25 and 50 percent for five minutes each, at `RATE` requests a second. The gates are the
operator's own judges, asked every five seconds, as in a cluster. A step whose gates have not passed when its time is
over goes on until they have, for at most `PATIENCE` seconds. Requests are independent of each other; errors that come
in bursts, and hours that differ, are not simulated. Seeds are fixed.
"""

from dataclasses import dataclass
from datetime import timedelta
from math import inf
from statistics import median

import numpy as np

from perennial.api.modeldeployment.gates import ErrorRateGate, Gate, LatencyGate
from perennial.core.times import format_time, parse_time
from perennial.core.traffic import Buckets, Counters
from perennial.serving.gates.error_rate import judge_error_rate
from perennial.serving.gates.judgement import Judgement, Window
from perennial.serving.gates.latency import judge_latency
from perennial.serving.gates.sample import Sample

ROLLOUTS = 200
RATE = 50.0
"""Requests a second, over both revisions."""
WEIGHTS = (0.05, 0.25, 0.5)
HOLD = 300
PATIENCE = 3600
LOOK = 5
"""Seconds between two looks."""
ERRORS = 0.002
"""Share of failed requests of a healthy revision."""
MEDIAN, SPREAD = 0.03, 0.5
"""Latency in seconds and its standard deviation, of a log-normal distribution."""
BOUNDS = np.array([0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0])
"""Buckets of prometheus_client, which MLServer uses."""
START = parse_time("2026-01-31T12:00:00Z")

ABSOLUTE = ErrorRateGate(max="0.01")
COMPARED = ErrorRateGate(not_worse_than_stable_by="0.005")
LIMIT = LatencyGate(quantile="0.95", max_millis=100)
RATIO = LatencyGate(quantile="0.95", max_ratio_to_stable="1.5")
Wanted = ErrorRateGate | LatencyGate


@dataclass(frozen=True)
class Revision:
    """How a revision answers."""

    errors: float = ERRORS
    slowness: float = 1.0

    def answer(self, requests: int, random: np.random.Generator) -> Counters:
        """Counters of so many requests."""
        seconds = random.lognormal(np.log(MEDIAN * self.slowness), SPREAD, requests)
        counts = np.searchsorted(np.sort(seconds), BOUNDS, side="right")
        buckets: Buckets = (*zip(BOUNDS.tolist(), counts.astype(float).tolist(), strict=True), (inf, float(requests)))
        return Counters(float(requests), float(random.binomial(requests, self.errors)), buckets)


@dataclass(frozen=True)
class End:
    """How a rollout ended."""

    result: str
    """promoted, failed or held."""
    seconds: float
    met: float
    """Requests that the candidate has answered."""


def judge(wanted: Wanted, candidate: Counters, stable: Counters, seconds: int) -> Judgement:
    """Ask the operator's judge at a moment of a step."""
    now = START + timedelta(seconds=seconds)
    window = Window(format_time(START), now)
    one, other = Sample(candidate, 1, 1, now, START), Sample(stable, 1, 1, now, START)
    if isinstance(wanted, ErrorRateGate):
        return judge_error_rate(Gate(error_rate=wanted), wanted, one, other, window)
    return judge_latency(Gate(latency=wanted), wanted, one, other, window)


def roll_out(wanted: tuple[Wanted, ...], bad: Revision, seed: int) -> End:
    """Simulate one rollout beside a healthy stable revision."""
    random, good = np.random.default_rng(seed), Revision()
    seconds, met = 0.0, 0.0
    for weight in WEIGHTS:
        candidate, stable = Counters(), Counters()
        for elapsed in range(LOOK, HOLD + PATIENCE + LOOK, LOOK):
            arrived = int(random.poisson(RATE * LOOK))
            own = int(random.binomial(arrived, weight))
            candidate, stable = candidate + bad.answer(own, random), stable + good.answer(arrived - own, random)
            verdicts = [judge(one, candidate, stable, elapsed).verdict for one in wanted]
            if "Failed" in verdicts:
                return End("failed", seconds + elapsed, met + candidate.requests)
            if elapsed >= HOLD and all(verdict == "Passed" for verdict in verdicts):
                break
        else:
            return End("held", seconds + HOLD + PATIENCE, met + candidate.requests)
        seconds, met = seconds + elapsed, met + candidate.requests
    return End("promoted", seconds, met)


CASES: tuple[tuple[str, Revision, tuple[Wanted, ...]], ...] = (
    ("healthy, all four limits", Revision(), (ABSOLUTE, COMPARED, LIMIT, RATIO)),
    ("5 % errors, errorRate.max 0.01", Revision(errors=0.05), (ABSOLUTE,)),
    ("5 % errors, errorRate.notWorseThanStableBy 0.005", Revision(errors=0.05), (COMPARED,)),
    ("3 times slower, latency.maxMillis 100", Revision(slowness=3), (LIMIT,)),
    ("3 times slower, latency.maxRatioToStable 1.5", Revision(slowness=3), (RATIO,)),
)


def main() -> None:
    """Print a table."""
    print("| rollouts | failed | held | promoted | median seconds to the end | median requests that met it |")
    print("|---|---|---|---|---|---|")
    for name, revision, wanted in CASES:
        ends = [roll_out(wanted, revision, seed) for seed in range(ROLLOUTS)]
        counts = [sum(end.result == result for end in ends) for result in ("failed", "held", "promoted")]
        figures = (f"{median(end.seconds for end in ends):.0f}", f"{median(end.met for end in ends):,.0f}")
        print("|", " | ".join([f"{ROLLOUTS}, {name}", *map(str, counts), *figures]), "|", flush=True)


if __name__ == "__main__":
    main()
