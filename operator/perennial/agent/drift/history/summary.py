"""What the history says about a comparison: since when, what has changed, and the trend."""

from datetime import datetime, timedelta
from math import isfinite
from typing import NamedTuple

import polars as pl

from perennial.agent.drift.history.rows import DRIFT, VERDICT, monitor_of
from perennial.api.contract.report import ColumnHistory, DriftReport, FeatureReport, HistoryReport
from perennial.api.driftmonitor.status import Trend
from perennial.core.calendar import bounds
from perennial.core.times import format_time, parse_time
from perennial.stats.compare import p_value_badness
from perennial.stats.embedding import AUC, CHANCE
from perennial.stats.methods import P_VALUES
from perennial.stats.trend import trend_of

POINTS = 60
"""Most comparisons in a chart."""
COLUMNS = 200
"""Most columns with a history in the report, as many as have a plot."""
WINDOWS = 14
LEAST_WINDOWS = 5
"""Most windows that a trend is judged from, and fewest."""
_APART = 0.9
"""Share of a window's length from which two comparisons count as those of two windows: schedules are not exact."""
_NAMES = 100
_LARGEST = 1000.0


class Comparison(NamedTuple):
    """One comparison of the history: when, by which Job, the share of columns that had drifted, the calendar window."""

    time: datetime
    job: str
    share: float
    since: datetime | None = None
    until: datetime | None = None

    @property
    def end(self) -> datetime:
        """End of its window."""
        return self.until or self.time

    def start(self, sliding: timedelta) -> datetime:
        """Start of its window; of one that ended at the comparison a little later, since schedules are not exact."""
        return self.since or self.time - _APART * sliding


def summarise(rows: pl.DataFrame, report: DriftReport, window: timedelta) -> HistoryReport:
    """Summarise the comparisons of the same monitor with the same model, up to this one.

    Args:
        rows: the history, this comparison included, in order of time.
        report: this comparison.
        window: length of its window if that ended at the comparison; zero for calendar windows and files.
    """
    now = parse_time(report.time)
    since, until = (None, None) if report.window is None else bounds(report.window)
    sliding = window if since is None or until is None else until - since
    end = pl.coalesce("until", "time")
    same_model = pl.col("digest").eq_missing(pl.lit(report.digest))
    known = rows.filter((pl.col("monitor") == monitor_of(report)) & same_model & (end <= (until or now)))
    earlier = known.filter(pl.col("job") != report.job)
    verdicts = earlier.filter((pl.col("kind") == VERDICT) & pl.col("score").is_not_null()).sort(end)
    before = [Comparison(*row) for row in verdicts.select("time", "job", "score", "since", "until").rows()]
    share = report.drifted_features / report.compared_features if report.compared_features else 0.0
    all_of_them = [*before, Comparison(now, report.job, share, since, until)]
    judged = apart(all_of_them, sliding)
    columns = earlier.filter((pl.col("kind") == DRIFT) & pl.col("drifted").is_not_null())
    newly, recovered = _changes(columns, before[-1].job if before else None, report.features)
    shown = all_of_them[-POINTS:]
    return HistoryReport(
        times=tuple(format_time(item.time) for item in shown),
        shares=tuple(_short(item.share) for item in shown),
        trend=direction([item.share for item in judged]),
        trend_windows=len(judged),
        previous=format_time(before[-1].time) if before else None,
        newly_drifted=newly[:_NAMES],
        recovered=recovered[:_NAMES],
        columns=_columns(columns, report.features[:COLUMNS], shown, now),
    )


def apart(comparisons: list[Comparison], window: timedelta) -> list[Comparison]:
    """Return the newest comparisons, at most `WINDOWS`, whose windows do not overlap; oldest first.

    Overlapping windows share most of their rows: a single change would look like a trend.
    """
    chosen: list[Comparison] = []
    for item in reversed(comparisons):
        if not chosen or item.end <= chosen[-1].start(window):
            chosen.append(item)
        if len(chosen) == WINDOWS:
            break
    return chosen[::-1]


def direction(shares: list[float]) -> Trend:
    """Return the direction of the shares, oldest first; Unknown if there are too few."""
    return "Unknown" if len(shares) < LEAST_WINDOWS else trend_of(shares)


def _changes(
    columns: pl.DataFrame, previous: str | None, features: tuple[FeatureReport, ...]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return columns that have drifted since the comparison before, and those that no longer have."""
    if previous is None:
        return (), ()
    last = columns.filter(pl.col("job") == previous)
    had = set(last.filter(pl.col("drifted"))["column"].to_list())
    newly = tuple(item.name for item in features if item.drifted and item.name not in had)
    return newly, tuple(item.name for item in features if not item.drifted and item.name in had)


def _columns(
    columns: pl.DataFrame, features: tuple[FeatureReport, ...], shown: list[Comparison], now: datetime
) -> dict[str, ColumnHistory]:
    names = [item.name for item in features]
    mine = columns.filter(pl.col("column").is_in(names))
    since = _since(mine)
    place = {item.job: index for index, item in enumerate(shown)}
    points: dict[str, list[float | None]] = {name: [None] * len(shown) for name in names}
    recent = mine.filter(pl.col("job").is_in(list(place))).select("column", "job", "method", "score", "threshold")
    for name, job, method, score, threshold in recent.rows():
        points[name][place[job]] = _ratio(method, score, threshold)
    for item in features:
        points[item.name][-1] = _LARGEST if item.badness is None else _short(min(item.badness, _LARGEST))
    return {
        item.name: ColumnHistory(
            since=format_time(since.get(item.name, (now, 0))[0]) if item.drifted else None,
            in_a_row=since.get(item.name, (now, 0))[1] + 1 if item.drifted else 0,
            points=tuple(points[item.name]),
        )
        for item in features
    }


def _since(columns: pl.DataFrame) -> dict[str, tuple[datetime, int]]:
    """Return since when each column was drifted in every comparison before this one, and in how many."""
    fine = columns.filter(~pl.col("drifted")).group_by("column").agg(pl.col("time").max().alias("fine"))
    streak = (
        columns.filter(pl.col("drifted"))
        .join(fine, on="column", how="left")
        .filter(pl.col("fine").is_null() | (pl.col("time") > pl.col("fine")))
        .group_by("column")
        .agg(pl.col("time").min().alias("since"), pl.len().alias("amount"))
    )
    return {name: (since, amount) for name, since, amount in streak.rows()}


def _ratio(method: str | None, score: float | None, threshold: float | None) -> float | None:
    """Return a score relative to its threshold, as `FeatureReport.badness`; None if it is unknown."""
    if score is None or threshold is None or not (isfinite(score) and isfinite(threshold)):
        return None
    if method == AUC and threshold > CHANCE:
        return _short(max(0.0, (score - CHANCE) / (threshold - CHANCE)))
    if method in P_VALUES:
        return _short(min(p_value_badness(score, threshold), _LARGEST))
    return _short(min(score / threshold, _LARGEST)) if threshold > 0 else _LARGEST


def _short(value: float) -> float:
    return float(f"{value:.4g}")
