"""How often `auto` finds a change, and how often it finds one that is not there, by the number of rows.

Ten kinds of numeric and ten of categorical columns, each unchanged and changed, many times at each size:

    python3 tools/dev.py python -m bench.power [--repetitions 200] [--largest 1000000]

It writes docs/drift-power.md. The same seed gives the same table. Nothing outside this process is used.
"""

import argparse
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.random import Generator

from perennial.stats.compare import compare
from perennial.stats.samples import Categorical, Sample, numeric

PAGE = Path("docs/drift-power.md")
SIZES = (100, 300, 1_000, 3_000, 10_000, 100_000, 1_000_000)
SEED = 20

Draw = Callable[[Generator, int, float], Sample]
"""Draws one side: generator, rows, and how far it is shifted (0 for the reference)."""


@dataclass(frozen=True)
class Column:
    """A kind of column and the change that is looked for."""

    name: str
    shift: float
    draw: Draw


def _moved(draw: Callable[[Generator, int], np.ndarray[tuple[int], np.dtype[np.float64]]]) -> Draw:
    return lambda generator, rows, shift: numeric(draw(generator, rows) + shift)


def _spiky(generator: Generator, rows: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.where(generator.random(rows) < 0.5, 0.0, generator.normal(0, 1, rows))


def _shares(*shares: float) -> Draw:
    """Categories; a shift moves so much of the whole from the last one to the first."""

    def draw(generator: Generator, rows: int, shift: float) -> Sample:
        moved = np.array(shares)
        moved[0] += shift
        moved[-1] -= shift
        counts = generator.multinomial(rows, moved / moved.sum())
        return Categorical({f"c{place}": int(count) for place, count in enumerate(counts) if count})

    return draw


def _zipf(categories: int) -> Draw:
    weights = 1 / np.arange(1, categories + 1)

    def draw(generator: Generator, rows: int, shift: float) -> Sample:
        shares = weights / weights.sum()
        shares = shares * (1 - shift)
        shares[0] += shift
        counts = generator.multinomial(rows, shares / shares.sum())
        return Categorical({f"c{place}": int(count) for place, count in enumerate(counts) if count})

    return draw


NUMERIC = (
    Column("normal, mean + 0.3 sd", 0.3, _moved(lambda g, n: g.normal(0, 1, n))),
    Column("uniform, + 0.1 of its width", 0.1, _moved(lambda g, n: g.random(n))),
    Column("exponential, + 0.2 of its mean", 0.2, _moved(lambda g, n: g.exponential(1, n))),
    Column("log-normal, + 0.3 of its median", 0.3, _moved(lambda g, n: g.lognormal(0, 1, n))),
    Column("Student's t, 2 degrees, + 0.4", 0.4, _moved(lambda g, n: g.standard_t(2, n))),
    Column("Cauchy, + 0.5", 0.5, _moved(lambda g, n: g.standard_cauchy(n))),
    Column("Pareto, exponent 1.1, + 0.3", 0.3, _moved(lambda g, n: g.pareto(1.1, n))),
    Column("half zeros, half normal, + 0.3", 0.3, _moved(_spiky)),
    Column("Poisson, mean 20, + 2", 2.0, _moved(lambda g, n: g.poisson(20, n).astype(np.float64))),
    Column("two modes, + 0.5", 0.5, _moved(lambda g, n: g.normal(0, 1, n) + 6.0 * (g.random(n) < 0.5))),
)
CATEGORICAL = (
    Column("2 classes, 50 to 60 %", 0.10, _shares(0.5, 0.5)),
    Column("2 classes, 5 to 10 %", 0.05, _shares(0.05, 0.95)),
    Column("3 classes, + 10 points", 0.10, _shares(0.4, 0.3, 0.3)),
    Column("5 classes, + 10 points", 0.10, _shares(0.2, 0.2, 0.2, 0.2, 0.2)),
    Column("10 classes, + 8 points", 0.08, _shares(*(0.1 for _ in range(10)))),
    Column("50 classes by Zipf, + 10 points", 0.10, _zipf(50)),
    Column("500 classes by Zipf, + 15 points", 0.15, _zipf(500)),
    Column("2 classes, 1 to 3 %", 0.02, _shares(0.01, 0.99)),
    Column("4 classes, + 10 points", 0.10, _shares(0.7, 0.1, 0.1, 0.1)),
    Column("20 classes, + 10 points", 0.10, _shares(*(0.05 for _ in range(20)), 0.10)),
)


COLUMNS = (*NUMERIC, *CATEGORICAL)


@dataclass(frozen=True)
class Cell:
    """What one kind of column gave at one size: shares of repetitions, in [0, 1]."""

    column: str
    rows: int
    false_alarms: float
    power: float


def measure(column: Column, rows: int, repetitions: int) -> Cell:
    """Compare a fresh reference with an unchanged and a changed window, so many times."""
    generator = np.random.default_rng([SEED, rows, sum(column.name.encode())])
    alarms = found = 0
    for _ in range(repetitions):
        reference = column.draw(generator, rows, 0.0)
        alarms += compare(reference, column.draw(generator, rows, 0.0)).drifted
        found += compare(reference, column.draw(generator, rows, column.shift)).drifted
    return Cell(column.name, rows, alarms / repetitions, found / repetitions)


def page(cells: Sequence[Cell], sizes: Sequence[int], repetitions: int) -> str:
    """Markdown with one table for each kind, and the false alarms of all."""
    lines = [
        "# Power and false alarms of `auto`",
        "",
        "Written by `python3 tools/dev.py python -m bench.power`. Both sides have the number of rows given at the top.",
        f"Each cell is the share of {repetitions} repetitions in which the column was called drifted, in percent.",
    ]
    for title, columns in (("Numbers", NUMERIC), ("Categories", CATEGORICAL)):
        lines += ["", f"## {title}", "", "| change | " + " | ".join(f"{size:,}" for size in sizes) + " |"]
        lines.append("|---|" + "--:|" * len(sizes))
        for column in columns:
            shares = {cell.rows: cell for cell in cells if cell.column == column.name}
            lines.append(f"| {column.name} | " + " | ".join(f"{shares[size].power:.0%}" for size in sizes) + " |")
        unchanged = [
            max(cell.false_alarms for cell in cells if cell.rows == size and cell.column in {c.name for c in columns})
            for size in sizes
        ]
        lines.append("| *unchanged, the worst of them* | " + " | ".join(f"{share:.1%}" for share in unchanged) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure every cell in two processes and write the page."""
    parser = argparse.ArgumentParser(prog="python -m bench.power", description="Power and false alarms of `auto`.")
    parser.add_argument("--repetitions", type=int, default=200)
    parser.add_argument("--largest", type=int, default=SIZES[-1], help="the largest number of rows")
    arguments = parser.parse_args()
    sizes = [size for size in SIZES if size <= arguments.largest]
    # Columns are named by their place: their functions cannot be sent to another process.
    work = [(place, size, arguments.repetitions) for size in sizes for place in range(len(COLUMNS))]
    with ProcessPoolExecutor(2) as pool:
        cells = list(pool.map(_measure_place, work))
    PAGE.write_text(page(cells, sizes, arguments.repetitions), encoding="utf-8")
    print(f"wrote {PAGE}")


def _measure_place(place: tuple[int, int, int]) -> Cell:
    index, size, repetitions = place
    return measure(COLUMNS[index], size, repetitions)


if __name__ == "__main__":
    main()
