"""Reads predictions with their ids from captured responses or from files, one row per prediction."""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from perennial.agent.drift.data.ids import CLEAR, Identities
from perennial.agent.drift.data.records import Record, Selection, read_records
from perennial.agent.drift.data.span import labelled_span, span_of
from perennial.agent.drift.data.window import files_between
from perennial.agent.predictions.outputs import GROUP, ID, output_columns, tensor_of
from perennial.agent.predictions.payload import MalformedPayload, Payload, parse_answer, parse_payload
from perennial.agent.records.captured import UnreadableFile, left_out
from perennial.agent.tables.files import Store, read_tables, tables_under
from perennial.agent.tables.table import PartitionWriter, Scalar, Table, id_text
from perennial.api.contract.commands import CaptureWindow, DriftConfig
from perennial.core.times import parse_duration
from perennial.stats.intervals import Undefined

Choice = Callable[[int], NDArray[np.int64]]
"""Returns which rows of a given number are read, in ascending order."""


@dataclass(frozen=True)
class Predicted:
    """Predictions of a window.

    Attributes:
        frame: one row per prediction: ID as text, OUTPUT (or OUTPUT.0, OUTPUT.1, ... for several values), GROUP, and
            the further columns wanted, as far as they exist.
        rows: number of predictions, of which the frame may have a sample.
        notes: sentences for the report.
    """

    frame: pl.DataFrame
    rows: int
    notes: tuple[str, ...] = ()


def read_predictions(
    config: DriftConfig,
    store: Store,
    wanted: Collection[str],
    folder: Path,
    now: datetime,
    *,
    choose: Choice | None = None,
    identities: Identities = CLEAR,
) -> Predicted:
    """Read the predictions to evaluate: with ground truth, those of the window that ended `groundTruth.delay` ago.

    Args:
        config: location of the data, and how to read predictions.
        store: storage.
        wanted: further columns of the requests, such as protected attributes.
        folder: an empty folder for downloads.
        now: current time.
        choose: which rows to read. None: all.
        identities: how the ids are hashed.

    Raises:
        Undefined: no predictions found; the message says why.
        AgentError: DataInvalid, naming a file; or what storage raises.
    """
    if isinstance(config.current, CaptureWindow):
        kept = set(wanted)
        return _from_capture(
            config, config.current, store, kept, folder=folder, now=now, choose=choose, identities=identities
        )
    table = read_tables(store, tables_under(store, config.current), folder, _texts(config))
    chosen = choose(table.rows) if choose else None
    frame = frame_of_files(table, config, wanted, chosen)
    hidden = [identities.many(frame.get_column(ID))] if ID in frame.columns else []
    return Predicted(frame.with_columns(*hidden), table.rows)


def frame_of_files(
    table: Table, config: DriftConfig, wanted: Collection[str], chosen: NDArray[np.int64] | None = None
) -> pl.DataFrame:
    """Read predictions from files with columns for id, prediction, and further columns wanted.

    Args:
        table: rows of the files.
        config: how to read predictions.
        wanted: names of further columns.
        chosen: numbers of the rows to read, ascending. None: all.

    Raises:
        Undefined: predictions.output is not set, or no column has that name.
        AgentError: DataInvalid, naming a file.
    """
    output = config.predictions.output
    if output is None:
        raise Undefined("predictions.output must name the column of the predictions")
    present = [name for name in table.columns if name == output or tensor_of(name) == output]
    outputs = output_columns(present or table.columns[:5], output)
    for name in outputs:
        if table.nested(name) or table.column(name).dtype == pl.Binary:
            raise Undefined(f"the column {name} of the predictions contains lists, records or binary data")
    frame = pl.DataFrame([_read(table, name, chosen).alias(alias) for name, alias in outputs.items()])
    further = [_read(table, name, chosen) for name in sorted(wanted) if name in table.columns]
    keys = [key if chosen is None else key.gather(chosen) for key in _key_columns(config, table)]
    return frame.with_columns(*further, *keys)


def _read(table: Table, name: str, chosen: NDArray[np.int64] | None) -> pl.Series:
    return table.column(name) if chosen is None else table.at(name, chosen)


def _key_columns(config: DriftConfig, table: Table) -> list[pl.Series]:
    labels = config.ground_truth
    identity = (labels.id or labels.key) if labels else None
    named = ((ID, identity), (GROUP, config.predictions.group))
    return [table.ids(name).alias(alias) for alias, name in named if name and name in table.columns]


def _texts(config: DriftConfig) -> set[str]:
    labels = config.ground_truth
    return {labels.id or labels.key} if labels else set()


def _from_capture(
    config: DriftConfig,
    window: CaptureWindow,
    store: Store,
    kept: set[str],
    *,
    folder: Path,
    now: datetime,
    choose: Choice | None,
    identities: Identities,
) -> Predicted:
    labels, newest = config.ground_truth, span_of(window, now)
    span = labelled_span(window, now, parse_duration(labels.delay)) if labels else newest
    since, until = span.since, span.end
    files = files_between(store, window.uri, since, until)
    writer = PartitionWriter(folder, window.uri, ids=(ID, GROUP))
    causes: Counter[str] = Counter()
    unreadable: list[UnreadableFile] = []
    for record in read_records(store, files, folder / "download", Selection(window.digest, since, until)):
        if isinstance(record, UnreadableFile):
            unreadable.append(record)
            continue
        if isinstance(record, str):
            causes[record] += 1
            continue
        try:
            rows = _rows(record, config, kept, identities)
        except (MalformedPayload, Undefined) as error:
            causes[f"without a prediction: {error}"] += 1
            continue
        writer.add(rows.columns, rows.rows)
    table = writer.finish()
    if not table.rows:
        raise Undefined(f"no predictions from {since:%Y-%m-%d %H:%M} to {until:%Y-%m-%d %H:%M} UTC{_first(causes)}")
    notes = [] if span.calendar == newest.calendar else [f"Labels were compared with predictions of {span.text}."]
    notes.extend([f"Left out of predictions: {_listed(causes)}."] if causes else [])
    if unreadable:
        notes.append(f"Left out of predictions: {left_out(unreadable, len(files.files))}.")
    chosen = choose(table.rows) if choose else None
    return Predicted(pl.DataFrame([_read(table, name, chosen) for name in table.columns]), table.rows, tuple(notes))


def _rows(record: Record, config: DriftConfig, wanted: set[str], identities: Identities) -> Payload:
    asked, answered = parse_payload(record.request), parse_answer(record.response)
    if asked.lost_rows or answered.lost_rows:
        raise MalformedPayload("rows of another length than the columns, so that predictions have no certain row")
    if asked.rows != answered.rows:
        raise MalformedPayload(f"{answered.rows} predictions for {asked.rows} rows")
    outputs = output_columns(list(answered.columns), config.predictions.output)
    columns: dict[str, Sequence[Scalar]] = {alias: answered.columns[name] for name, alias in outputs.items()}
    columns.update({name: values for name, values in asked.columns.items() if name in wanted})
    columns[ID] = _ids(record, config, asked, identities)
    group = config.predictions.group
    columns[GROUP] = asked.columns.get(group, [None] * asked.rows) if group else [record.id] * asked.rows
    return Payload(columns, asked.rows)


def _ids(record: Record, config: DriftConfig, asked: Payload, identities: Identities) -> Sequence[Scalar]:
    name = config.ground_truth.id if config.ground_truth else None
    if name is not None:
        return [identities.one(id_text(value)) for value in asked.columns.get(name, [None] * asked.rows)]
    request = identities.one(record.id)
    return [request] if asked.rows == 1 else [f"{request}/{index}" for index in range(asked.rows)]


def _first(causes: Mapping[str, int]) -> str:
    return f" ({_listed(causes)})" if causes else ""


def _listed(causes: Mapping[str, int]) -> str:
    return ", ".join(f"{amount:,} {cause}" for cause, amount in sorted(causes.items())[:5])
