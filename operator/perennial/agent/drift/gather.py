"""Reads the current data of a comparison: whole, by the profiles of its hours, or the part of one shard."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path

from perennial.agent.drift.columns import select_columns
from perennial.agent.drift.data.current import Current, read_current
from perennial.agent.drift.data.hours import WindowReader
from perennial.agent.drift.data.privacy import Guard
from perennial.agent.drift.declared import declared_needs_rows
from perennial.agent.drift.history.store import ReportStore
from perennial.agent.drift.profiles.plan import MOST_COLUMNS, ColumnPlan, needs_rows, plan_columns
from perennial.agent.drift.profiles.read import read_profiled
from perennial.agent.drift.quality import limits_of
from perennial.agent.drift.shards.agree import Shard
from perennial.agent.drift.shards.outline import Outline, OutlineStore
from perennial.agent.drift.shards.read import count_part, read_shard
from perennial.agent.storage.errors import AgentError
from perennial.agent.tables.files import Listing
from perennial.agent.tables.table import Table
from perennial.api.contract.commands import CaptureWindow, DriftConfig
from perennial.api.contract.messages import ShardWritten
from perennial.core.failures import DATA_INVALID

_DECLARED_WITH_SHARDS = (
    "checks.quality.columns has a type, or a column that is not compared, which shards cannot judge since they count "
    "and keep no rows: remove these, or shards"
)


def gather(
    config: DriftConfig,
    store: ReportStore,
    files: Listing,
    shard: Shard | None,
    reference: Table,
    *,
    now: datetime,
    wanted: set[str],
    guard: Guard,
    folder: Path,
    outlines: OutlineStore | None = None,
) -> Current | ShardWritten:
    """Read the current data, or the part of a shard, into an empty folder.

    Args:
        config: what to compare, and how.
        store: storage of the data and of profiles.
        files: the files of the window.
        shard: which part to read; None: all of them.
        reference: the reference, whose columns are counted.
        now: end of a sliding window.
        wanted: columns to keep.
        guard: what privacy hides.
        folder: for downloads and rows.
        outlines: where a shard keeps what others need to know of the reference. None: nowhere.

    Raises:
        AgentError: as in `core.failures`, such as DataInvalid.
    """
    if shard is None:
        return _current(config, store, files, reference, now=now, wanted=wanted, guard=guard, folder=folder)
    return _part(config, store, shard, reference, outlines, wanted=wanted, folder=folder)


def count_ahead(
    config: DriftConfig, store: ReportStore, shard: Shard, outlines: OutlineStore, folder: Path
) -> ShardWritten | None:
    """Count the part of a shard by what an earlier one has kept of the reference.

    Returns:
        None: the reference has to be read, since nothing is kept that fits it, or since this is the shard that merges.

    Raises:
        AgentError: what storage raises.
    """
    outline = outlines.load()
    if outline is None:
        return None
    source, report = config.current, config.report
    assert isinstance(source, CaptureWindow) and report is not None  # noqa: S101, PT018 - see join_shards
    reader = WindowReader(store, source, shard.end, wanted_of(config, outline.columns))
    counted = count_part(reader, shard, outline.plans, store, report=report, folder=folder)
    return counted if isinstance(counted, ShardWritten) else None


def wanted_of(config: DriftConfig, columns: Iterable[str]) -> set[str]:
    """Return the columns to keep of captured requests, given those of the reference."""
    declared = config.checks.quality.columns if config.checks.quality else ()
    named = (*(item.name for item in declared), *(segment.column for segment in config.segments or ()))
    return {*columns, *(config.features.include or ()), *named}


def texts_of(config: DriftConfig) -> set[str]:
    """Return the columns whose values in CSV files are not parsed."""
    columns = config.checks.quality.columns if config.checks.quality else ()
    texts = {item.name for item in columns if item.type == "text"}
    return texts | {name for name, kind in (config.features.types or {}).items() if kind == "categorical"}


def roles_of(config: DriftConfig) -> dict[str, str]:
    """Columns that are no inputs of the model, with what they are; those in features.include are compared."""
    labels = config.ground_truth
    named = {
        labels.label if labels else None: "the label",
        (labels.id or labels.key) if labels else None: "the id of predictions",
        config.predictions.output: "the prediction",
        config.predictions.group: "the group of predictions",
    }
    included = config.features.include or ()
    return {name: role for name, role in named.items() if name is not None and name not in included}


def _current(
    config: DriftConfig,
    store: ReportStore,
    files: Listing,
    reference: Table,
    *,
    now: datetime,
    wanted: set[str],
    guard: Guard,
    folder: Path,
) -> Current:
    """Read the current data, by profiles of its hours if nothing but the comparison of columns needs its rows."""
    source, report = config.current, config.report
    if isinstance(source, CaptureWindow) and report is not None and needs_rows(config) is None:
        names = _counted(config, reference)
        if len(names) <= MOST_COLUMNS and not declared_needs_rows(config.checks.quality, names):
            plans = _plans(config, reference, names)
            reader = WindowReader(store, source, now, wanted)
            return read_profiled(reader, files, plans, reference.rows, store, report=report, folder=folder)
    return read_current(
        source,
        store,
        files,
        now=now,
        wanted=wanted,
        as_text=texts_of(config),
        folder=folder,
        guard=guard,
        lists=config.features.embeddings or (),
    )


def _part(
    config: DriftConfig,
    store: ReportStore,
    shard: Shard,
    reference: Table,
    outlines: OutlineStore | None,
    *,
    wanted: set[str],
    folder: Path,
) -> Current | ShardWritten:
    """Read the part of a shard, and all of them together if this is the last one."""
    source, report, names = config.current, config.report, _counted(config, reference)
    assert isinstance(source, CaptureWindow) and report is not None  # noqa: S101, PT018 - see join_shards
    if len(names) > MOST_COLUMNS:
        step = "name fewer in features.include, or remove shards"
        text = f"the reference has {len(names):,} columns to compare, but at most {MOST_COLUMNS:,} fit shards: {step}"
        raise AgentError(DATA_INVALID, text)
    if declared_needs_rows(config.checks.quality, names):
        raise AgentError(DATA_INVALID, _DECLARED_WITH_SHARDS)
    plans = _plans(config, reference, names)
    if outlines is not None:
        outlines.save(Outline(reference.columns, plans))
    reader = WindowReader(store, source, shard.end, wanted)
    return read_shard(reader, shard, plans, reference.rows, store, report=report, folder=folder)


def _counted(config: DriftConfig, reference: Table) -> tuple[str, ...]:
    """Return the columns that profiles count."""
    roles = roles_of(config)
    known = select_columns(config.features, reference.columns, reference.columns).compared
    return tuple(name for name in known if name not in roles)


def _plans(config: DriftConfig, reference: Table, names: Sequence[str]) -> tuple[ColumnPlan, ...]:
    limits = {name: limits_of(name, config.checks.quality) for name in names}
    return plan_columns(names, reference, config.features.types or {}, limits)
