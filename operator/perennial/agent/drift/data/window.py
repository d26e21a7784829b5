"""Reads the captured requests of a time window as rows."""

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

from perennial.agent.drift.data.span import Extent, span_of
from perennial.agent.predictions.bulk import Forms, Gathered
from perennial.agent.predictions.payload import MalformedPayload, Payload, parse_payload
from perennial.agent.records.captured import UnreadableFile, documents_of
from perennial.agent.records.hours import folder_of_hour, hour_of, is_capture_file
from perennial.agent.tables.files import Download, Listing, Store, uri_of
from perennial.agent.tables.table import PartitionWriter, Scalar, Table
from perennial.api.contract.commands import CaptureWindow
from perennial.core.times import parse_time

_HOUR = timedelta(hours=1)
_MANY_HOURS = 14 * 24
_PARTITION = re.compile(r"date=(\d{4}-\d{2}-\d{2})/hour=(\d{2})/(?:.*/)?([^/]+)")
_OK = 200
MAX_NAMES = 1000
_MAX_REASONS = 100
_GATHERED = 8192
"""Requests of one form that are turned into columns together."""

Skipped = Literal[
    "malformed",
    "of another model",
    "not answered with 200",
    "outside the window",
    "without a body",
    "with a truncated body",
]


@dataclass(frozen=True)
class Record:
    """A request with its response, as decoded JSON."""

    id: str
    request: object
    response: object


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
        refuse: whether it is an error if no file can be decoded.

    Raises:
        AgentError: DataInvalid, naming a file, if none can be decoded; or what storage raises.
    """
    writer = PartitionWriter(folder, window.uri)
    forms, gathered = Forms(), Gathered()
    skipped: Counter[Skipped] = Counter()
    unwanted: dict[str, None] = {}
    malformed: Counter[str] = Counter()
    unreadable: dict[str, tuple[int, str]] = {}
    requests = lost_rows = 0
    left_out: list[UnreadableFile] = []
    extent, span = Extent(), span_of(window, now)
    path = folder / "download"
    records = read_records(store, window, files, path, since=span.since, until=span.until, refuse=refuse, extent=extent)
    for record in records:
        if isinstance(record, UnreadableFile):
            left_out.append(record)
            continue
        plain = None if isinstance(record, str) else forms.read(record.request)
        if plain is not None:
            if not gathered.fits(plain, _GATHERED):
                _write(writer, *gathered.take(), wanted, unwanted)
            gathered.add(plain)
            requests += 1
            continue
        payload = record if isinstance(record, str) else _payload_of(record)
        if isinstance(payload, MalformedPayload):
            skipped["malformed"] += 1
            add_reason(malformed, str(payload))
            continue
        if not isinstance(payload, Payload):
            skipped[payload] += 1
            continue
        _write(writer, *gathered.take(), wanted, unwanted)
        _write(writer, payload.columns, payload.rows, wanted, unwanted)
        requests += 1
        lost_rows += payload.lost_rows
        for name, reason in payload.unreadable.items():
            add_unreadable(unreadable, name, 1, reason)
    _write(writer, *gathered.take(), wanted, unwanted)
    table = replace(writer.finish(), passed_over=files.passed_over)
    return Window(
        table,
        requests,
        dict(skipped),
        tuple(unwanted),
        dict(malformed),
        unreadable,
        lost_rows=lost_rows,
        unreadable_files=tuple(left_out),
        files=len(files.files),
        extent=extent,
    )


def add_reason(reasons: Counter[str], reason: str, amount: int = 1) -> None:
    """Count a reason; texts come from clients, so their number is bounded."""
    reasons[reason if reason in reasons or len(reasons) < _MAX_REASONS else "other reasons"] += amount


def read_records(
    store: Store,
    window: CaptureWindow,
    files: Listing,
    path: Path,
    *,
    since: datetime,
    until: datetime | None = None,
    refuse: bool = True,
    extent: Extent | None = None,
) -> Iterator[Record | Skipped | UnreadableFile]:
    """Yield the successful requests of a window, the causes of skipping the other records, and the files left out.

    Args:
        store: storage of the files.
        window: names the model.
        files: result of `window_files`.
        path: temporary file for downloads.
        since: start of the window.
        until: end of the window, exclusive. None: no end, so that clock skew drops no records.
        refuse: whether it is an error if no file can be decoded.
        extent: notes the times of all records.

    Raises:
        AgentError: DataInvalid, naming a file, if none can be decoded; or what storage raises.
    """
    seen = extent or Extent()
    for document in documents_of(store, files.files, path, refuse=refuse):
        if isinstance(document, UnreadableFile):
            yield document
        else:
            yield _record_of(document, window.digest, since, until, seen)


def add_unreadable(unreadable: dict[str, tuple[int, str]], name: str, amount: int, reason: str) -> None:
    """Count requests that lost a field; names come from clients, so their number is bounded."""
    if name in unreadable or len(unreadable) < _MAX_REASONS:
        unreadable[name] = (unreadable.get(name, (0, ""))[0] + amount, reason)


def _write(
    writer: PartitionWriter,
    columns: Mapping[str, Sequence[Scalar]],
    rows: int,
    wanted: Collection[str],
    unwanted: dict[str, None],
) -> None:
    """Write the wanted columns of some rows, and note the names of the others."""
    for name in columns:
        if name not in wanted and len(unwanted) < MAX_NAMES:
            unwanted[name] = None
    writer.add({name: values for name, values in columns.items() if name in wanted}, rows)


def _record_of(record: object, digest: str, since: datetime, until: datetime | None, seen: Extent) -> Record | Skipped:
    if not isinstance(record, dict) or "request" not in record:
        return "malformed"
    time, other, status = record.get("time"), record.get("digest"), record.get("status")
    if not (isinstance(time, str) and isinstance(other, str) and isinstance(status, int)):
        return "malformed"
    cause = _cause(time, since, until, seen, of_model=other == digest, status=status)
    body = record["request"]
    if cause is None and body is None and record.get("requestTruncated") is True:
        return "with a truncated body"
    return cause or Record(str(record.get("id", "")), body, record.get("response"))


def _cause(
    time: str, since: datetime, until: datetime | None, seen: Extent, *, of_model: bool, status: int
) -> Skipped | None:
    """Return why a record is skipped, if it is."""
    try:
        moment = parse_time(time)
    except ValueError:
        return "malformed"
    seen.note(moment)
    if moment < since or (until is not None and moment >= until):
        return "outside the window"
    if not of_model:
        return "of another model"
    return None if status == _OK else "not answered with 200"


def _payload_of(record: Record) -> Payload | MalformedPayload | Skipped:
    """Return the rows of a record, or why it is skipped."""
    if record.request is None:
        return "without a body"
    try:
        return parse_payload(record.request)
    except MalformedPayload as error:
        return error


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
