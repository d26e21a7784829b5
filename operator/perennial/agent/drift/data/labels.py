"""Reads labels from files and joins them to predictions by id."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from perennial.agent.drift.data.ids import CLEAR, Identities
from perennial.agent.drift.data.times import order_of
from perennial.agent.predictions.outputs import ID, LABEL
from perennial.agent.tables.files import Store, passed_over, read_tables, tables_under
from perennial.agent.tables.table import Partition, Table, as_text
from perennial.agent.text import count
from perennial.api.driftmonitor.checks import GroundTruth
from perennial.stats.intervals import Undefined

_TIME = "@time"


@dataclass(frozen=True)
class LabelledPredictions:
    """Predictions with their labels.

    Attributes:
        frame: one row per prediction; LABEL is null if there is no label.
        labelled: number of rows with a label.
        notes: sentences for the report, such as duplicates.
    """

    frame: pl.DataFrame
    labelled: int
    notes: tuple[str, ...]

    @property
    def coverage(self) -> float:
        """Share of predictions with a label, in [0, 1]."""
        return self.labelled / self.frame.height if self.frame.height else 0.0


def join_labels(
    predictions: pl.DataFrame,
    source: GroundTruth,
    store: Store,
    wanted: Collection[str],
    folder: Path,
    *,
    identities: Identities = CLEAR,
) -> LabelledPredictions:
    """Join labels to predictions.

    Of several predictions with one id the last is used, of several labels the newest. Files are filtered one by one, so
    that memory holds the columns of a single file.

    Args:
        predictions: with the column ID.
        source: location and columns of the labels.
        store: storage.
        wanted: further columns, taken from the label files if the predictions lack them.
        folder: an empty folder for downloads.
        identities: how the ids of the predictions are hashed; those of the labels are hashed in the same way.

    Raises:
        Undefined: there are no label files, a column is missing, or no id can match; the message says which and why.
        AgentError: DataInvalid, naming a file; or what storage raises.
    """
    if ID not in predictions.columns:
        raise Undefined(f"predictions have no column {source.id or source.key} to join labels by: set groundTruth.id")
    known = predictions.filter(pl.col(ID).is_not_null())
    single = known.unique(subset=ID, keep="last", maintain_order=True)
    repeated = known.height - single.height
    files = tables_under(store, source.uri)
    if not files.files:
        raise Undefined(f"no files found under groundTruth.uri {source.uri}")
    table = read_tables(store, files, folder, {source.key})
    for name in (source.key, source.label, *([source.time] if source.time else [])):
        if name not in table.columns:
            raise Undefined(f"groundTruth has no column {name}: it has {', '.join(table.columns[:8])}")
    if table.column(source.label).dtype == pl.Binary or table.nested(source.label):
        raise Undefined(f"groundTruth.label {source.label} contains lists, records or binary data")
    further = [name for name in sorted(wanted) if name in table.columns and name not in single.columns]
    predicted = single.get_column(ID)
    pieces = [_labels(partition, source, further, predicted, identities) for partition in table.partitions]
    warned = identities.check(predicted, sum(piece.height for piece in pieces), source.key)
    _refuse_mixed_times(pieces, source)
    labels = pl.concat(_with_common_type(pieces), how="vertical_relaxed")
    newest = (labels.sort(_TIME, maintain_order=True) if source.time else labels).unique(
        subset=ID, keep="last", maintain_order=True
    )
    joined = single.join(newest.drop(_TIME), on=ID, how="left", maintain_order="left")
    labelled = joined.height - joined.get_column(LABEL).null_count()
    return LabelledPredictions(
        joined,
        labelled,
        (
            *warned,
            *_notes(predictions.height - known.height, repeated, labels, newest),
            *_timeless(labels if source.time else labels.clear()),
            *passed_over("labels", files.passed_over),
        ),
    )


def _labels(
    partition: Partition, source: GroundTruth, further: list[str], predicted: pl.Series, identities: Identities
) -> pl.DataFrame:
    """Return the labels in one partition that belong to a prediction."""
    table = Table((partition,))
    time = (
        order_of(table.column(source.time), source.time, source.time_format)
        if source.time
        else pl.repeat(None, partition.rows, dtype=pl.Null, eager=True)
    )
    frame = pl.DataFrame(
        [
            identities.of_labels(table.ids(source.key), predicted).alias(ID),
            table.column(source.label).alias(LABEL),
            time.alias(_TIME),
            *(as_text(table.column(name)).alias(name) for name in further),
        ]
    )
    return frame.filter(pl.col(LABEL).is_not_null()).join(predicted.to_frame(), on=ID, how="semi")


def _refuse_mixed_times(pieces: Sequence[pl.DataFrame], source: GroundTruth) -> None:
    """Numbers and times cannot be put in one order.

    Raises:
        Undefined: one file has numbers, another times.
    """
    kinds = {piece.schema[_TIME].is_numeric() for piece in pieces if piece.height and piece.schema[_TIME] != pl.Null}
    if len(kinds) > 1:
        raise Undefined(f"groundTruth.time {source.time} contains numbers in one file and times in another")


def _with_common_type(pieces: list[pl.DataFrame]) -> list[pl.DataFrame]:
    """Cast the labels of all files to a common type: numbers become text if any file has text."""
    kinds = {piece.schema[LABEL] for piece in pieces if piece.height}
    if len(kinds) <= 1 or all(kind.is_numeric() for kind in kinds):
        return [piece for piece in pieces if piece.height] or pieces[:1]
    return [piece.with_columns(as_text(piece.get_column(LABEL)).alias(LABEL)) for piece in pieces if piece.height]


def _timeless(labels: pl.DataFrame) -> list[str]:
    amount = labels.get_column(_TIME).null_count()
    return [f"{count(amount, 'label')} had no time; any label with a time is newer."] if amount else []


def _notes(unnamed: int, repeated: int, labels: pl.DataFrame, newest: pl.DataFrame) -> list[str]:
    notes = []
    if unnamed:
        notes.append(f"{count(unnamed, 'prediction')} had no usable id and cannot be joined to labels.")
    if repeated:
        notes.append(f"{count(repeated, 'prediction')} repeated an id; the last response is used.")
    double = labels.height - newest.height
    if double:
        differing = labels.group_by(ID).agg(pl.col(LABEL).n_unique().alias("kinds")).filter(pl.col("kinds") > 1).height
        notes.append(
            f"{count(double, 'label')} repeated an id, with different values for {count(differing, 'id')}; the newest "
            "is used."
        )
    return notes
