"""Gathers the rows of captured requests: of many at once where their texts differ in values only, else one by one."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl

from perennial.agent.drift.data.records import Record, Selection, Skipped, record_of
from perennial.agent.drift.data.span import Extent
from perennial.agent.predictions.bulk import Forms, Gathered
from perennial.agent.predictions.payload import MalformedPayload, Payload, parse_payload
from perennial.agent.predictions.plain import Layout, RecordLayout, layout_of
from perennial.agent.predictions.templates import Batch, Slot, Template, Templates
from perennial.agent.records.captured import decoded
from perennial.agent.records.parquet import decoded_body, documents_in, moment_of_millis, written_by_capture
from perennial.agent.tables.table import PartitionWriter, Scalar, Table
from perennial.core.times import parse_time

MAX_NAMES = 1000
_MAX_REASONS = 100
_GATHERED = 8192
"""Requests of one form that are turned into columns together."""
_GATHERED_CHARACTERS = 16 * 2**20
_RECORDS_CHARACTERS = 2 * 2**20
"""Fewer, since short records need twenty times the memory of their text."""
_FEW = 64
"""Requests that are read one by one if they cannot be read together; of more, each half is tried."""


@dataclass(frozen=True)
class _Plan:
    """What is made of the texts of a template.

    Attributes:
        layout: where the columns are; None if `cause` says why no record is used.
        most: how many texts are read together, so that partitions stay of bounded size.
        characters: length of all these texts.
        time: where the time is; None in texts of bodies, whose records were chosen before.
        cause: why records of the period are skipped.
    """

    layout: Layout | RecordLayout | None
    most: int
    characters: int
    time: int | None = None
    cause: Skipped | None = None


class Reading:
    """Gathers the rows of captured requests; what it gathers does not depend on how they are read.

    Args:
        writer: takes the rows.
        selection: which records are used.
        wanted: columns to keep.
        lists: fields that may be lists of numbers, as in `parse_payload`.

    Attributes:
        requests: number of records used.
        skipped: number of other records, by cause.
        unwanted: names of other columns, at most MAX_NAMES.
        malformed: number of malformed bodies, by the reason.
        unreadable: for each field that some requests lost, the number of these requests and the reason.
        lost_rows: number of rows that did not fit the columns of their request.
        extent: earliest and latest time of all records, used or not.
    """

    def __init__(
        self, writer: PartitionWriter, selection: Selection, wanted: Collection[str], lists: Collection[str] = ()
    ) -> None:
        self.requests = self.lost_rows = 0
        self.skipped: Counter[Skipped] = Counter()
        self.unwanted: dict[str, None] = {}
        self.malformed: Counter[str] = Counter()
        self.unreadable: dict[str, tuple[int, str]] = {}
        self.extent = Extent()
        self._writer, self._selection, self._wanted, self._lists = writer, selection, wanted, lists
        self._forms, self._gathered = Forms(), Gathered()
        self._lines, self._bodies = Templates(self._plan_of_line), Templates(_plan_of_body)
        self._batch: Batch[_Plan] = Batch()

    def line(self, line: bytes | None) -> None:
        """Take a record as a line of JSON; None: it was too long."""
        if not self._batched(self._lines, _text(line)):
            self._document(decoded(line))

    def rows(self, frame: pl.DataFrame) -> None:
        """Take records as rows of a Parquet file, with the columns that `written_by_capture` names."""
        if not written_by_capture(frame):
            for document in documents_in(frame):
                self._document(document)
            return
        usable = frame.drop_nulls(["time", "digest", "status"])
        self.skipped.update({"malformed": frame.height - usable.height} if usable.height < frame.height else {})
        if usable.is_empty():
            return
        times: list[int] = usable.get_column("time").to_physical().to_list()
        ends = [moment_of_millis(millis) for millis in (min(times), max(times))]
        for moment in ends:
            self.extent.note(moment)
        all_inside = all(map(self._selection.has, ends))
        columns = [usable.get_column(name).to_list() for name in ("digest", "status", "request", "requestTruncated")]
        for millis, digest, status, body, truncated in zip(times, *columns, strict=True):
            inside = all_inside or self._selection.has(moment_of_millis(millis))
            cause: Skipped | None = self._selection.cause(digest, status) if inside else "outside the window"
            if cause is not None:
                self.skipped[cause] += 1
            elif truncated or not self._batched(self._bodies, body):
                self._body(body, truncated=bool(truncated))

    def finish(self) -> Table:
        """Write what is gathered, and return all rows."""
        self._settle()
        self._write_gathered()
        return self._writer.finish()

    def _batched(self, templates: Templates[_Plan], text: str | None) -> bool:
        """Add a text to those of its template; return whether it has one."""
        found = templates.find(text) if text is not None else None
        if text is None or found is None:
            return False
        template, contents = found
        if not self._batch.fits(template, template.plan.most, template.plan.characters):
            self._settle()
        self._batch.add(template, contents, text)
        return True

    def _settle(self) -> None:
        """Read the texts of one template that were added."""
        template, contents, texts = self._batch.take()
        if template is not None:
            self._read(template, contents, texts)

    def _read(self, template: Template[_Plan], contents: Sequence[str], texts: Sequence[str]) -> None:
        values = template.values(contents, len(texts))
        moments = None if values is None else _moments(template, values)
        layout = template.plan.layout
        if (
            values is None
            or moments is None
            or not (layout is None or layout.usable(values, template.stride, self._lists))
        ):
            self._read_parts(template, contents, texts)
            return
        self._write_gathered()
        kept = self._kept(template.plan, moments)
        used = len(texts) if kept is None else sum(kept)
        if layout is None or not used:
            return
        self.requests += used
        found = layout.read(values, template.stride, kept, self._wanted)
        self._note(found.names)
        self._writer.add(found.columns, found.rows)

    def _read_parts(self, template: Template[_Plan], contents: Sequence[str], texts: Sequence[str]) -> None:
        """Read texts of which at least one does not fit its template."""
        if len(texts) <= _FEW:
            for text in texts:
                if template.plan.time is None:
                    self._body(text, truncated=False)
                else:
                    self._document(decoded(text.encode()))
            return
        half = len(texts) // 2
        slots = half * len(template.marks)
        self._read(template, contents[:slots], texts[:half])
        self._read(template, contents[slots:], texts[half:])

    def _kept(self, plan: _Plan, moments: Sequence[datetime]) -> list[bool] | None:
        """Note times and causes of records; return which are used, None for all."""
        if not moments:
            return None
        first, last = min(moments), max(moments)
        self.extent.note(first)
        self.extent.note(last)
        if plan.cause is None and self._selection.has(first) and self._selection.has(last):
            return None
        inside = [self._selection.has(moment) for moment in moments]
        self.skipped.update({"outside the window": count} if (count := inside.count(False)) else {})
        if plan.cause is None:
            return inside
        self.skipped.update({plan.cause: count} if (count := inside.count(True)) else {})
        return [False] * len(inside)

    def _document(self, document: object) -> None:
        self._take(record_of(document, self._selection, self.extent))

    def _body(self, text: str | None, *, truncated: bool) -> None:
        body = decoded_body(text)
        self._take("with a truncated body" if truncated and body is None else Record("", body, None))

    def _take(self, record: Record | Skipped) -> None:
        """Take one record."""
        self._settle()
        plain = None if isinstance(record, str) else self._forms.read(record.request)
        if plain is not None:
            if not self._gathered.fits(plain, _GATHERED):
                self._write_gathered()
            self._gathered.add(plain)
            self.requests += 1
            return
        payload = record if isinstance(record, str) else _payload_of(record, self._lists)
        if isinstance(payload, MalformedPayload):
            self.skipped["malformed"] += 1
            add_reason(self.malformed, str(payload))
        elif isinstance(payload, Payload):
            self._write_gathered()
            self._write(payload.columns, payload.rows)
            self.requests += 1
            self.lost_rows += payload.lost_rows
            for name, reason in payload.unreadable.items():
                add_unreadable(self.unreadable, name, 1, reason)
        else:
            self.skipped[payload] += 1

    def _write_gathered(self) -> None:
        self._write(*self._gathered.take())

    def _write(self, columns: Mapping[str, Sequence[Scalar]], rows: int) -> None:
        """Write the wanted columns of some rows, and note the names of the others."""
        self._note(columns)
        self._writer.add({name: values for name, values in columns.items() if name in self._wanted}, rows)

    def _note(self, names: Collection[str]) -> None:
        for name in names:
            if name not in self._wanted and len(self.unwanted) < MAX_NAMES:
                self.unwanted[name] = None

    def _plan_of_line(self, document: object) -> _Plan | None:
        match document:
            case {"time": Slot() as time, "digest": str(digest), "status": int(status), "request": body}:
                cause = self._selection.cause(digest, status)
                layout = layout_of(body)
                return _plan(layout, time.start, cause) if cause is not None or layout is not None else None
        return None


def add_reason(reasons: Counter[str], reason: str, amount: int = 1) -> None:
    """Count a reason; texts come from clients, so their number is bounded."""
    reasons[reason if reason in reasons or len(reasons) < _MAX_REASONS else "other reasons"] += amount


def add_unreadable(unreadable: dict[str, tuple[int, str]], name: str, amount: int, reason: str) -> None:
    """Count requests that lost a field; names come from clients, so their number is bounded."""
    if name in unreadable or len(unreadable) < _MAX_REASONS:
        unreadable[name] = (unreadable.get(name, (0, ""))[0] + amount, reason)


def _plan_of_body(document: object) -> _Plan | None:
    layout = layout_of(document)
    return None if layout is None else _plan(layout)


def _plan(layout: Layout | RecordLayout | None, time: int | None = None, cause: Skipped | None = None) -> _Plan:
    if isinstance(layout, RecordLayout):
        return _Plan(layout, _GATHERED, _RECORDS_CHARACTERS, time, cause)
    return _Plan(layout, max(1, _GATHERED // (layout.rows if layout else 1)), _GATHERED_CHARACTERS, time, cause)


def _text(line: bytes | None) -> str | None:
    try:
        return None if line is None else line.decode()
    except UnicodeDecodeError:
        return None


def _moments(template: Template[_Plan], values: Sequence[Any]) -> list[datetime] | None:
    """Return the times of records, nothing for texts of bodies; None if one is no time."""
    if template.plan.time is None:
        return []
    try:
        return [parse_time(text) for text in values[template.plan.time :: template.stride]]
    except (ValueError, TypeError):
        return None


def _payload_of(record: Record, lists: Collection[str]) -> Payload | MalformedPayload | Skipped:
    """Return the rows of a record, or why it is skipped."""
    if record.request is None:
        return "without a body"
    try:
        return parse_payload(record.request, lists)
    except MalformedPayload as error:
        return error
