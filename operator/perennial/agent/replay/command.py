"""`perennial agent replay`: find captured requests, send them, compare, report."""

import logging
import tempfile
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from math import exp, isfinite
from pathlib import Path

import numpy as np

from perennial.agent.inference.client import ModelClient
from perennial.agent.replay.requests import HIDDEN, Found, newest_requests
from perennial.agent.replay.sending import Replay, send
from perennial.agent.storage.errors import classify
from perennial.agent.tables.files import Store
from perennial.agent.text import cut, decimal_text
from perennial.api.contract.commands import ReplayConfig
from perennial.api.contract.messages import LINE_LENGTH, Interval, Replayed
from perennial.core.times import format_time
from perennial.stats.intervals import Estimate, Undefined, estimate, of_mean, of_ratio
from perennial.stats.samples import Floats

log = logging.getLogger(__name__)

MIN_REQUESTS = 20
"""With fewer requests nothing is judged."""
_REASONS = 6
_LARGEST = 1e11


def run(config: ReplayConfig, store: Store, now: datetime | None = None) -> Replayed:
    """Replay the newest captured requests, and return how the candidate's answers compare.

    Args:
        config: where the requests are, and which revisions to ask.
        store: storage.
        now: current time. None: that of the clock.

    Raises:
        AgentError: as in `core.failures`, such as ModelUnreachable.
    """
    moment = now or datetime.now(UTC)
    scratch = Path(config.scratch)
    try:
        scratch.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="replay-", dir=scratch) as folder:
            found = newest_requests(config, store, Path(folder), moment)
    except OSError as error:  # a full disk, most likely
        raise classify(error, str(scratch)) from error
    if len(found.requests) < MIN_REQUESTS:
        return _too_few(found, moment)
    candidate = ModelClient(config.candidate, config.timeout_seconds)
    stable = ModelClient(config.stable, config.timeout_seconds) if config.stable else None
    for client in (candidate, *((stable,) if stable else ())):
        client.reach()
    return result(found, send(found.requests, candidate, stable, config), moment)


def result(found: Found, replay: Replay, now: datetime) -> Replayed:
    """Summarise a replay. Requests are the independent units of all intervals, since rows of one request are alike."""
    parts = np.array([item.agreeing for item in replay.compared], dtype=np.float64)
    rows = np.array([item.rows for item in replay.compared], dtype=np.float64)
    gaps = np.array([item.distance for item in replay.compared], dtype=np.float64)
    numbers = np.array([item.numbers for item in replay.compared], dtype=np.float64)
    ratios = np.array(replay.ratios, dtype=np.float64)
    sent = len(replay.failed)
    late = Counter({"not sent in time": replay.late} if replay.late else {})
    common = replay.errors.most_common(1)
    summary = Replayed(
        time=format_time(now),
        requests=sent,
        oldest=format_time(found.requests[0].time),
        agreement=_interval(lambda: estimate(of_ratio(parts, rows), share=True), int(rows.sum()), sent),
        distance=_interval(lambda: _distance(gaps, numbers), int(numbers.sum()), int(np.count_nonzero(numbers))),
        errors=_interval(lambda: estimate(of_mean(np.array(replay.failed, dtype=np.float64)), share=True), sent, sent),
        latency=_interval(lambda: _latency(ratios), ratios.size, ratios.size),
        skipped=_lines(found.skipped + late),
        error=f"{common[0][1]} of {sent} requests: {common[0][0]}"[:LINE_LENGTH] if common else None,
    )
    log.info("%s", summary.model_dump_json(by_alias=True, exclude_none=True))
    return summary


def _too_few(found: Found, now: datetime) -> Replayed:
    have = len(found.requests)
    hidden = found.skipped[HIDDEN]
    others = (
        f"; of {hidden} others capture.redact or capture.hash hid values: add this gate once a revision serves that "
        "captures without them"
    )
    why = f"{have} captured requests can be replayed, but at least {MIN_REQUESTS} are needed{others if hidden else ''}"
    blank = Interval(why=cut(why, LINE_LENGTH))
    return Replayed(
        time=format_time(now),
        requests=0,
        agreement=blank,
        distance=blank,
        errors=blank,
        latency=blank,
        skipped=_lines(found.skipped),
    )


def _distance(gaps: Floats, numbers: Floats) -> Estimate:
    if not numbers.any():
        raise Undefined("the answers have no numbers to compare")
    return estimate(of_ratio(gaps, numbers), low=0.0)


def _latency(ratios: Floats) -> Estimate:
    """Return the geometric mean: exp of the mean of the logarithms, so that twice and half as long cancel out."""
    if not ratios.size:
        raise Undefined("no request was answered by both revisions")
    found = estimate(of_mean(np.log(ratios)))
    return Estimate(exp(found.value), exp(found.low), exp(found.high))


def _interval(compute: Callable[[], Estimate], count: int, units: int) -> Interval:
    """Return a figure as a field of the message, or why there is none."""
    try:
        if units < MIN_REQUESTS:
            raise Undefined(f"{units} comparable requests, but at least {MIN_REQUESTS} are needed")
        found = compute()
    except Undefined as error:
        return Interval(count=count, why=cut(str(error), LINE_LENGTH))
    return Interval(value=decimal_text(found.value), low=_bound(found.low), high=_bound(found.high), count=count)


def _bound(value: float) -> str | None:
    return decimal_text(value) if isfinite(value) and abs(value) < _LARGEST else None


def _lines(skipped: Counter[str]) -> tuple[str, ...]:
    return tuple(f"{amount:,} {reason}"[:LINE_LENGTH] for reason, amount in skipped.most_common(_REASONS))
