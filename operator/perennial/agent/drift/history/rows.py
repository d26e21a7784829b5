"""The rows of history.parquet: one for each score of a comparison, and how they are merged, limited and stored."""

import io
from datetime import datetime, timedelta

import polars as pl
from polars.exceptions import PanicException, PolarsError

from perennial.api.contract.report import CheckReport, DriftReport
from perennial.core.calendar import bounds
from perennial.core.repeats import repeats
from perennial.core.times import parse_time

SCHEMA = pl.Schema(
    {
        "time": pl.Datetime("ms", "UTC"),
        "window": pl.String(),
        "since": pl.Datetime("ms", "UTC"),
        "until": pl.Datetime("ms", "UTC"),
        "monitor": pl.String(),
        "job": pl.String(),
        "run": pl.String(),
        "digest": pl.String(),
        "kind": pl.String(),
        "column": pl.String(),
        "method": pl.String(),
        "score": pl.Float64(),
        "threshold": pl.Float64(),
        "drifted": pl.Boolean(),
    }
)
"""Columns of the file. `docs/statistics.md` describes them."""
_WITHOUT_WINDOWS = pl.Schema({name: kind for name, kind in SCHEMA.items() if name not in ("window", "since", "until")})
"""Columns of a file that was begun before there were calendar windows."""
VERDICT, DRIFT, QUALITY, SEGMENT = "verdict", "drift", "quality", "segment"
"""Kinds of rows, beside those of `CheckReport.check`."""
MOST_ROWS = 1_000_000
"""Beyond it the oldest rows are dropped: 200 columns every hour for seven months."""


class Foreign(ValueError):
    """The file holds something else than a history."""


def monitor_of(report: DriftReport) -> str:
    """Return the value of the column `monitor`: several monitors may share a file."""
    return f"{report.namespace}/{report.monitor}"


def rows_of(report: DriftReport) -> pl.DataFrame:
    """Return the rows of one comparison: its verdict, its columns, its other checks, the number of its findings."""
    share = report.drifted_features / report.compared_features if report.compared_features else 0.0
    findings = float(len(report.quality_findings))
    rows = [
        (VERDICT, None, "share", share, report.share_threshold, report.drifted),
        *((DRIFT, item.name, item.method, item.score, item.threshold, item.drifted) for item in report.features),
        *((item.check, item.subject, item.metric, item.value, None, _failed(item)) for item in report.checks),
        *_segments(report),
        (QUALITY, None, "findings", findings, 1.0, bool(findings)),
    ]
    window = report.window
    span = (None, None, None) if window is None else (window.name, *bounds(window))
    shared = (parse_time(report.time), *span, monitor_of(report), report.job, report.run, report.digest)
    return pl.DataFrame([(*shared, *row) for row in rows], schema=SCHEMA, orient="row")


def _segments(report: DriftReport) -> list[tuple[str, str, str, float | None, float, bool | None]]:
    """Return a row for each segment, and one without a score for each column that could not be judged."""
    limit = report.share_threshold
    return [
        *(
            (SEGMENT, f"{column.column} = {item.value}", "share", item.share, limit, item.deviates)
            for column in report.segments
            for item in column.segments
        ),
        *((SEGMENT, column.column, "share", None, limit, None) for column in report.segments if column.why),
    ]


def _failed(check: CheckReport) -> bool | None:
    return None if check.value is None else check.failed


def merge(earlier: pl.DataFrame, new: pl.DataFrame, now: datetime, keep: timedelta) -> pl.DataFrame:
    """Add the rows of a comparison to those of earlier ones, oldest first.

    Rows of the same comparison are replaced, so that none counts twice; so are those of the same calendar window of the
    same model. Rows of the same monitor that are older than `keep` are dropped.
    """
    monitor, job = new.item(0, "monitor"), new.item(0, "job")
    own = pl.col("monitor") == monitor
    same = [name for name in earlier.filter(own)["job"].unique().to_list() if name is None or repeats(job, name)]
    replaced = own & (pl.col("job").is_null() | pl.col("job").is_in(same) | _same_window(new))
    outdated = own & (pl.col("time") < now - keep)
    return newest(pl.concat([earlier.filter(~(replaced | outdated)), new]).sort("time", maintain_order=True))


def _same_window(new: pl.DataFrame) -> pl.Expr:
    """Whether rows are of the calendar window and model of a comparison; false if it has no such window."""
    since, until, digest = (pl.lit(new.item(0, name), SCHEMA[name]) for name in ("since", "until", "digest"))
    same = (pl.col("since") == since) & (pl.col("until") == until)
    return same.fill_null(value=False) & pl.col("digest").eq_missing(digest)


def newest(rows: pl.DataFrame, most: int = MOST_ROWS) -> pl.DataFrame:
    """Drop the oldest comparisons of rows in order of time if there are more than `most`; none is cut in two."""
    if rows.height <= most:
        return rows
    return rows.filter(pl.col("time") > rows.item(rows.height - most - 1, "time"))


def encode(rows: pl.DataFrame) -> bytes:
    """Return the content of history.parquet."""
    buffer = io.BytesIO()
    rows.write_parquet(buffer, compression="zstd")
    return buffer.getvalue()


def decode(data: bytes) -> pl.DataFrame | None:
    """Read history.parquet; None if it is no complete Parquet file.

    Raises:
        Foreign: it is one of other columns.
    """
    try:
        rows = pl.read_parquet(io.BytesIO(data), n_rows=2 * MOST_ROWS)
    except (PolarsError, PanicException, OSError):
        return None
    if rows.schema == _WITHOUT_WINDOWS:
        rows = pl.concat([pl.DataFrame(schema=SCHEMA), rows], how="diagonal")
    if rows.schema != SCHEMA:
        raise Foreign(", ".join(rows.columns[:8]))
    required = ("time", "monitor", "job", "kind")
    return rows.drop_nulls(required)
