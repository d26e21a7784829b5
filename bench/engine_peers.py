# ruff: noqa: S608  queries are built from the bench's own folder and column names
"""What other tools take for the files of `bench.engine`: run by a Python of its own, which has them installed.

    PYTHON bench/engine_peers.py WAY REFERENCE_FOLDER CURRENT_FOLDER

`evidently` runs its drift preset, `polars`, `pyarrow` and `duckdb` only bring every column into numpy, file by file.
"""

import sys
from collections.abc import Callable
from pathlib import Path

COLUMNS_AT_ONCE = 16


def evidently(reference: Path, current: Path) -> None:
    """Load both sides and run the drift preset, as its documentation shows."""
    import pandas as pd
    from evidently import Report
    from evidently.presets import DataDriftPreset

    sides = [pd.concat([pd.read_parquet(path) for path in sorted(side.iterdir())]) for side in (current, reference)]
    Report([DataDriftPreset()]).run(*sides)


def polars(reference: Path, current: Path) -> None:
    """Read groups of columns in batches, as the agent does."""
    import polars as pl

    for path in (*sorted(reference.iterdir()), *sorted(current.iterdir())):
        scan = pl.scan_parquet(path)
        names = scan.collect_schema().names()
        for at in range(0, len(names), COLUMNS_AT_ONCE):
            for frame in scan.select(names[at : at + COLUMNS_AT_ONCE]).collect_batches(chunk_size=65_536):
                for column in frame.iter_columns():
                    column.to_numpy()


def pyarrow(reference: Path, current: Path) -> None:
    """Read record batches."""
    from pyarrow import parquet

    for path in (*sorted(reference.iterdir()), *sorted(current.iterdir())):
        for batch in parquet.ParquetFile(path).iter_batches(batch_size=65_536):
            for column in batch.columns:
                column.to_numpy(zero_copy_only=False)


def duckdb(reference: Path, current: Path) -> None:
    """Count every column in a histogram of 60 bins, within DuckDB."""
    import duckdb as database

    for side in (reference, current):
        source = f"read_parquet('{side}/*.parquet')"
        names = [row[0] for row in database.sql(f"DESCRIBE SELECT * FROM {source}").fetchall()]
        ranges = database.sql(f"SELECT {', '.join(f'min({n}), max({n})' for n in names)} FROM {source}").fetchall()[0]
        bins = [
            f"histogram({name}, {[float(low + (high - low) * step / 60) for step in range(1, 60)]})"
            for name, low, high in zip(names, ranges[::2], ranges[1::2], strict=True)
        ]
        database.sql(f"SELECT {', '.join(bins)} FROM {source}").fetchall()


WAYS: dict[str, Callable[[Path, Path], None]] = {
    "evidently": evidently,
    "polars": polars,
    "pyarrow": pyarrow,
    "duckdb": duckdb,
}


if __name__ == "__main__":
    WAYS[sys.argv[1]](Path(sys.argv[2]), Path(sys.argv[3]))
