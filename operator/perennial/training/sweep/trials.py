"""Plans the trials of a sweep. Deterministic: the same spec always gives the same parameter sets."""

from collections.abc import Iterator, Mapping
from hashlib import sha256
from itertools import islice, product
from math import exp, floor, log

from perennial.api.trainingjob.resource import TrainingJobStatus
from perennial.api.trainingjob.sweep import Draw, Sweep, SweepStatus, Trial
from perennial.training.context import Context

_DRAWS_PER_TRIAL = 20
"""Limit on random draws: a small space may hold fewer distinct combinations than `trials` asks for."""


def planned(sweep: Sweep, seed: int | None, run: str) -> SweepStatus:
    """Return the status of a sweep in which every trial is Pending."""
    trials = tuple(
        Trial(number=number, phase="Pending", parameters=dict(point))
        for number, point in enumerate(points(sweep, seed or 0), start=1)
    )
    return SweepStatus(run=run, objective=sweep.objective, trials=trials)


def sweep_of(context: Context, status: TrainingJobStatus) -> SweepStatus | None:
    """Return the trials of the current run; None if the run is not a sweep.

    Trials that are missing from status are planned again: the plan is deterministic and Jobs are
    found by name.
    """
    run, spec = status.current_run, context.spec
    if run is not None and status.sweep is not None and status.sweep.run == run.name:
        return status.sweep
    if run is None or spec.sweep is None or run.spec_hash != context.spec_hash:
        return None
    return planned(spec.sweep, spec.seed, run.name)


def with_sweep(context: Context, status: TrainingJobStatus) -> TrainingJobStatus:
    """Return the status with the trials of the current run, if it is a sweep."""
    sweep = sweep_of(context, status)
    return status if sweep is None else status.model_copy(update={"sweep": sweep})


def points(sweep: Sweep, seed: int) -> tuple[Mapping[str, str], ...]:
    """Return the distinct parameter sets in the order in which they are tried."""
    if sweep.random is not None:
        wanted = sweep.trials or 1
        return tuple(islice(_distinct(_drawn(sweep.random, seed, wanted * _DRAWS_PER_TRIAL)), wanted))
    found = _combinations(sweep.grid) if sweep.grid is not None else iter(sweep.list or ())
    return tuple(islice(_distinct(found), sweep.trials))


def _combinations(grid: Mapping[str, tuple[str, ...]]) -> Iterator[Mapping[str, str]]:
    """Yield the combinations of a grid, each once: equal values would multiply the search, not the trials."""
    names = sorted(grid)
    values = [tuple(dict.fromkeys(grid[name])) for name in names]
    return (dict(zip(names, found, strict=True)) for found in product(*values))


def _drawn(draws: tuple[Draw, ...], seed: int, count: int) -> Iterator[Mapping[str, str]]:
    return ({draw.name: _value(draw, _share(seed, number, draw.name)) for draw in draws} for number in range(count))


def _distinct(found: Iterator[Mapping[str, str]]) -> Iterator[Mapping[str, str]]:
    seen: set[tuple[tuple[str, str], ...]] = set()
    for point in found:
        key = tuple(sorted(point.items()))
        if key not in seen:
            seen.add(key)
            yield point


def _share(seed: int, number: int, name: str) -> float:
    """Return a number in [0, 1) that follows from the arguments alone, whatever the Python version."""
    digest = sha256(f"{seed}/{number}/{name}".encode()).digest()
    return int.from_bytes(digest[:6]) / 2**48


def _value(draw: Draw, share: float) -> str:
    if draw.values is not None:
        return draw.values[int(share * len(draw.values))]
    low, high = float(draw.min or 0), float(draw.max or 0)
    if draw.integer:
        return str(min(floor(_between(low, high + 1, share, draw.scale)), floor(high)))
    return f"{_between(low, high, share, draw.scale):.6g}"


def _between(low: float, high: float, share: float, scale: str) -> float:
    if scale == "Log" and low > 0:
        return exp(log(low) + share * (log(high) - log(low)))
    return low + share * (high - low)
