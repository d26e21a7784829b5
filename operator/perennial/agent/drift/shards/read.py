"""Reads the part of one shard, or merges what all of them have counted."""

import logging
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from perennial.agent.drift.data.current import Current, current_of
from perennial.agent.drift.data.hours import WindowReader, by_hour
from perennial.agent.drift.history.store import ReportStore
from perennial.agent.drift.pairs import EXACT_ROWS
from perennial.agent.drift.profiles.hour import FileMark, HourProfile
from perennial.agent.drift.profiles.merge import Hours
from perennial.agent.drift.profiles.plan import ColumnPlan
from perennial.agent.drift.profiles.read import add_hours, passed, profile_store, read_whole, why_whole
from perennial.agent.drift.shards.agree import Shard
from perennial.agent.drift.shards.divide import divide
from perennial.agent.drift.shards.store import ShardStore
from perennial.agent.records.captured import UnreadableFile, refuse_unreadable
from perennial.agent.tables.files import Download
from perennial.agent.text import count
from perennial.api.contract.messages import ShardWritten

log = logging.getLogger(__name__)

Parts = Sequence[tuple[Download, ...]]


@dataclass(frozen=True)
class Complete:
    """All shards have written their counts, and this one is to merge them.

    Attributes:
        parts: files of each shard.
        kept: the counts.
    """

    parts: Parts
    kept: ShardStore


def count_part(
    reader: WindowReader,
    shard: Shard,
    plans: Sequence[ColumnPlan],
    store: ReportStore,
    *,
    report: str,
    folder: Path,
) -> Complete | ShardWritten:
    """Count the files of this shard and keep the result; no counts of the reference are needed for it.

    The last shard to write always finds all, so that none waits for another. A shard that runs again writes the same
    object again; if it had been the one to merge, it is so again.

    Args:
        reader: reads payloads.
        shard: which part to read.
        plans: columns that may be compared.
        store: storage of the profiles.
        report: URI of the reports.
        folder: an empty folder for downloads and partitions.

    Raises:
        AgentError: what storage raises.
    """
    parts = divide(reader.source.uri, shard.files.files, shard.count)
    profiles = profile_store(reader, plans, store, report)
    kept = ShardStore(store, shard, profiles.key, profiles.plans)
    mine = parts[shard.index]
    profile = kept.load(shard.index, _marks(reader, mine)) if mine else None
    if mine and profile is None:
        hours = by_hour(reader.source.uri, mine)
        whole = by_hour(reader.source.uri, shard.files.files)
        divided = {name for name, files in hours.items() if files != whole[name]}
        added = add_hours(profiles, reader, hours, plans, folder, parts=divided, keep_rows=False)
        profile = added.total.finish().as_part(kept.name(shard.index), _marks(reader, mine))
        kept.save(profile)
        log.info("%d of %d hours were read from their profiles", added.kept, len(hours))
    written = kept.written()
    missing = [index for index, part in enumerate(parts) if part and index not in written]
    log.info("shard %d of %d has written %d files; missing: %s", shard.index, shard.count, len(mine), missing or "none")
    if missing or not kept.merges():
        return _written(shard, mine, profile)
    return Complete(parts, kept)


def read_shard(
    reader: WindowReader,
    shard: Shard,
    plans: Sequence[ColumnPlan],
    reference_rows: int,
    store: ReportStore,
    *,
    report: str,
    folder: Path,
) -> Current | ShardWritten:
    """Count the files of this shard as `count_part` does; the shard that finds the results of all returns their sum.

    Args:
        reader: reads payloads.
        shard: which part to read.
        plans: columns that may be compared, with the counts of the reference.
        reference_rows: rows of the reference.
        store: storage of the profiles.
        report: URI of the reports.
        folder: an empty folder for downloads and partitions.

    Raises:
        AgentError: DataInvalid, if a result is damaged or no capture file can be decoded; or what storage raises.
    """
    counted = count_part(reader, shard, plans, store, report=report, folder=folder)
    if isinstance(counted, ShardWritten):
        return counted
    return _merged(reader, counted.parts, plans, counted.kept, reference_rows, folder=folder)


def _written(shard: Shard, files: Sequence[Download], profile: HourProfile | None) -> ShardWritten:
    rows = 0 if profile is None else profile.rows
    return ShardWritten(shard=shard.index, shards=shard.count, files=len(files), rows=rows)


def _merged(
    reader: WindowReader,
    parts: Parts,
    plans: Sequence[ColumnPlan],
    kept: ShardStore,
    reference_rows: int,
    *,
    folder: Path,
) -> Current:
    """Add up the parts; read all rows in this pod if counts do not suffice, as a comparison by a single pod does."""
    files = kept.shard.files
    total = Hours(plans)
    for index, part in enumerate(parts):
        if part:
            total.add(kept.must_load(index, _marks(reader, part)))
    whole = total.finish()
    window = replace(whole.window, unreadable_files=_by_name(whole.window.unreadable_files))
    refuse_unreadable(window.unreadable_files, len(files.files))
    note = f"The {count(len(files.files), 'file')} of the window were read by {kept.shard.count} shards."
    why = why_whole(whole, reference_rows)
    if why is None:
        shutil.rmtree(folder)
        current = current_of(passed(window, files), whole)
        return replace(current, notes=(*current.notes, note))
    log.info("the window is read whole: %s", why)
    hours = by_hour(reader.source.uri, files.files)
    current = current_of(passed(read_whole(reader, hours, folder, {}), files))
    told = () if whole.rows <= EXACT_ROWS else (f"One of them read all requests again, since {why}.",)
    return replace(current, notes=(*current.notes, note, *told))


def _by_name(files: Sequence[UnreadableFile]) -> tuple[UnreadableFile, ...]:
    return tuple(sorted(files, key=lambda item: item.uri))


def _marks(reader: WindowReader, files: Sequence[Download]) -> tuple[FileMark, ...]:
    root = f"{reader.source.uri.rstrip('/')}/"
    return tuple(FileMark(item.uri.removeprefix(root), item.size, item.etag) for item in files)
