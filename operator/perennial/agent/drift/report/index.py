"""Renders index.html, which lists the comparisons of the history with links to their reports."""

from dataclasses import dataclass, field
from html import escape
from urllib.parse import quote

import polars as pl

from perennial.agent.drift.history.rows import DRIFT, QUALITY, VERDICT
from perennial.agent.drift.report.page import page
from perennial.agent.drift.report.summary import KINDS, sum_up
from perennial.agent.text import count
from perennial.core.times import format_time

_SHOWN = ("monitor", "job", "time", "window", "run", "drifted")
_TITLES = ("Verdict", "Columns", "Training run")
RUNS = 1000
"""Most comparisons in the list, to bound the size of the page."""


@dataclass
class _Entry:
    """One comparison."""

    monitor: str
    job: str
    time: str
    window: str | None
    run: str
    drifted: bool
    columns: int = 0
    drifted_columns: int = 0
    findings: int = 0
    states: dict[str, bool | None] = field(default_factory=dict)


def render_index(rows: pl.DataFrame) -> str:
    """Render the page of a history."""
    entries = _entries(rows)
    monitors = sorted({entry.monitor for entry in entries})
    several = len(monitors) > 1
    total = rows.filter(pl.col("kind") == VERDICT).height
    shown = f", the newest {len(entries):,} of {total:,}" if total > len(entries) else ""
    windows = any(entry.window for entry in entries)
    titles = ("Time", *(["Window"] if windows else []), *(["Monitor"] if several else []), *_TITLES)
    head = "".join(f"<th>{name}</th>" for name in titles)
    body = "".join(_line(entry, several=several, windows=windows) for entry in entries)
    name = ", ".join(monitors)
    return page(
        f"Comparisons of {name}",
        f"<h1>Comparisons of {escape(name)}</h1>",
        f'<p class="soft">{count(len(entries), "comparison")}, newest first{shown}. Comparisons without a verdict are '
        "not listed.</p>",
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>',
    )


def _entries(rows: pl.DataFrame) -> list[_Entry]:
    verdicts = rows.filter(pl.col("kind") == VERDICT).sort("time", descending=True, maintain_order=True).head(RUNS)
    entries = {
        (monitor, job): _Entry(monitor, job, format_time(time), window, run or "unknown", bool(drifted))
        for monitor, job, time, window, run, drifted in verdicts.select(*_SHOWN).rows()
    }
    kinds = (
        rows.join(verdicts.select("monitor", "job"), on=["monitor", "job"], how="semi")
        .group_by("monitor", "job", "kind")
        .agg(
            pl.len().alias("all"),
            pl.col("drifted").sum().alias("failed"),
            pl.col("drifted").is_null().sum().alias("unknown"),
            pl.col("score").sum().alias("score"),
        )
    )
    for monitor, job, kind, amount, failed, unknown, score in kinds.rows():
        entry = entries[monitor, job]
        if kind == DRIFT:
            entry.columns, entry.drifted_columns = amount, failed
        elif kind == QUALITY:
            entry.findings = int(score)
        elif kind in KINDS:
            entry.states[kind] = True if failed else None if unknown else False
    return list(entries.values())


def _line(entry: _Entry, *, several: bool, windows: bool) -> str:
    texts = sum_up(drifted=entry.drifted, states=entry.states, findings=entry.findings)
    bad = entry.drifted or any(entry.states.values()) or entry.findings > 0
    colour = "bad" if bad else "unknown" if None in entry.states.values() else "good"
    # Quoted as one segment, so that no name of a Job leads out of the folder.
    link = f"./{quote(entry.job, safe='')}/report.html"
    monitor = f"<td>{escape(entry.monitor)}</td>" if several else ""
    window = f"<td>{escape(entry.window or '')}</td>" if windows else ""
    return (
        f'<tr><td><a href="{escape(link, quote=True)}">{escape(entry.time)}</a></td>{window}{monitor}'
        f'<td class="{colour}">{escape("; ".join(texts))}</td>'
        f"<td>{entry.drifted_columns:,} of {entry.columns:,} drifted</td><td>{escape(entry.run)}</td></tr>"
    )
