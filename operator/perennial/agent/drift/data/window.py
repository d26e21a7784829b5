"""Reads the captured requests of a time window as rows."""

import re
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl

from perennial.agent.drift.data.reading import Reading
from perennial.agent.drift.data.records import Selection, Skipped
from perennial.agent.drift.data.span import Extent, span_of
from perennial.agent.records.captured import UnreadableFile, raw_of
from perennial.agent.records.hours import folder_of_hour, hour_of, is_capture_file
from perennial.agent.tables.files import Download, Listing, Store, uri_of
from perennial.agent.tables.table import PartitionWriter, Table
from perennial.api.contract.commands import CaptureWindow

_HOUR = timedelta(hours=1)
_MANY_HOURS = 14 * 24
_PARTITION = re.compile(r"date=(\d{4}-\d{2}-\d{2})/hour=(\d{2})/(?:.*/)?([^/]+)")


@dataclass(frozen=True)
class Window:
    """Content of a window.

    Attributes:
        table: rows, with the wanted columns.
        requests: number of records used.
        skipped: number of other records, by cause.
        unwanted: names of other columns, at most 1,000.
        malformed: number of malformed bodies, by the reason.
        unreadable: for each field that some requests lost, the number of these requests and the reason.
        lost_rows: number of rows that did not fit the columns of their request.
        unreadable_files: capture files that could not be decoded and are left out.
        files: number of capture files, with those left out.
        extent: earliest and latest time of all records, used or not.
    """

    table: Table
    requests: int
    skipped: dict[Skipped, int]
    unwanted: tuple[str, ...]
    malformed: dict[str, int] = field(default_factory=dict)
    unreadable: dict[str, tuple[int, str]] = field(default_factory=dict)
    lost_rows: int = 0
    unreadable_files: tuple[UnreadableFile, ...] = ()
    files: int = 0
    extent: Extent = field(default_factory=Extent)


def window_files(store: Store, window: CaptureWindow, now: datetime) -> Listing:
    """Return the capture files that may have requests of the window, as `files_between`."""
    span = span_of(window, now)
    return files_between(store, window.uri, span.since, span.end)


def files_between(store: Store, uri: str, since: datetime, end: datetime) -> Listing:
    """Return the capture files that may have requests of a period, and the other files in their folders.

    Files are partitioned by hour, and clocks differ: one more hour is listed on both ends, and records are then
    filtered by their own times.
    """
    first = hour_of(since) - _HOUR
    last = hour_of(end) + _HOUR
    root = uri.rstrip("/") + "/"
    hours = int((last - first) / _HOUR) + 1
    prefixes = (
        [root] if hours > _MANY_HOURS else [folder_of_hour(root, first + index * _HOUR) for index in range(hours)]
    )
    listed = [item for prefix in prefixes for item in store.list(prefix) if not item.key.endswith("/")]
    found = [Download(uri_of(root, item.key), item.size, item.etag) for item in listed]
    inside = {item.uri.removeprefix(root): item for item in found if _between(item.uri.removeprefix(root), first, last)}
    files = sorted((item for name, item in inside.items() if is_capture_file(name)), key=lambda item: item.uri)
    return Listing(tuple(files), tuple(sorted(name for name in inside if not is_capture_file(name))))


def read_window(
    store: Store,
    window: CaptureWindow,
    files: Listing,
    folder: Path,
    *,
    now: datetime,
    wanted: Collection[str],
    lists: Collection[str] = (),
    refuse: bool = True,
) -> Window:
    """Read the requests of the window from capture files.

    Args:
        store: storage of the files.
        window: length and model.
        files: result of `window_files`.
        folder: an empty folder for downloads and partitions.
        now: time of the comparison.
        wanted: columns to keep; others are dropped, so that clients cannot fill the disk.
        lists: fields that may be lists of numbers, as in `parse_payload`.
        refuse: whether it is an error if no file can be decoded.

    Raises:
        AgentError: DataInvalid, naming a file, if none can be decoded; or what storage raises.
    """
    span = span_of(window, now)
    selection = Selection(window.digest, span.since, span.until)
    reading = Reading(PartitionWriter(folder, window.uri), selection, wanted, lists)
    left_out: list[UnreadableFile] = []
    for item in raw_of(store, files.files, folder / "download", refuse=refuse):
        if isinstance(item, UnreadableFile):
            left_out.append(item)
        elif isinstance(item, pl.DataFrame):
            reading.rows(item)
        else:
            reading.line(item)
    table = replace(reading.finish(), passed_over=files.passed_over)
    return Window(
        table,
        reading.requests,
        dict(reading.skipped),
        tuple(reading.unwanted),
        dict(reading.malformed),
        reading.unreadable,
        lost_rows=reading.lost_rows,
        unreadable_files=tuple(left_out),
        files=len(files.files),
        extent=reading.extent,
    )


def _between(name: str, first: datetime, last: datetime) -> bool:
    """Whether a file lies in the folder of an hour of the window."""
    match = _PARTITION.fullmatch(name)
    if match is None:
        return False
    try:
        hour = datetime.strptime(f"{match[1]} {match[2]}+0000", "%Y-%m-%d %H%z")
    except ValueError:
        return False
    return first <= hour <= last
