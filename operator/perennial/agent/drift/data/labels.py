"""What really happened: labels from files, joined to predictions by identity."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from perennial.agent.drift.data.files import Store, read_tables, tables_under
from perennial.agent.drift.data.predictions import ID, LABEL
from perennial.agent.drift.data.table import Part, Table, as_text
from perennial.agent.drift.report.text import count
from perennial.api.driftmonitor.checks import GroundTruth
from perennial.stats.intervals import Undefined

_TIME = "@time"


@dataclass(frozen=True)
class Joined:
    """Predictions beside what really happened.

    Attributes:
        frame: one row for each prediction; LABEL is null where no label came.
        labelled: rows with a label.
        notes: duplicates and the like, as sentences.
    """

    frame: pl.DataFrame
    labelled: int
    notes: tuple[str, ...]

    @property
    def coverage(self) -> float:
        """Share of predictions with a label, in [0, 1]."""
        return self.labelled / self.frame.height if self.frame.height else 0.0


def join_truth(
    predictions: pl.DataFrame, truth: GroundTruth, store: Store, wanted: Collection[str], folder: Path
) -> Joined:
    """Return the predictions with their labels.

    A prediction that was asked for several times counts once, by its last answer. Of several labels of one identity the
    newest counts. Labels of other predictions are passed over file by file, so that memory holds one file's columns.

    Args:
        predictions: with ID.
        truth: where the labels are.
        store: storage.
        wanted: further columns, taken from the labels where the predictions lack them.
        folder: an empty folder for downloads.

    Raises:
        Undefined: there are no labels at all, or a column is missing; the message names it.
        AgentError: DataInvalid, naming a file; or what storage raises.
    """
    if ID not in predictions.columns:
        raise Undefined(f"predictions have no column {truth.id or truth.key} to join labels by: set groundTruth.id")
    known = predictions.filter(pl.col(ID).is_not_null())
    single = known.unique(subset=ID, keep="last", maintain_order=True)
    repeated = known.height - single.height
    files = tables_under(store, truth.uri)
    if not files:
        raise Undefined(f"there are no files under groundTruth.uri {truth.uri}")
    table = read_tables(store, files, folder, {truth.key})
    for name in (truth.key, truth.label, *([truth.time] if truth.time else [])):
        if name not in table.columns:
            raise Undefined(f"groundTruth has no column {name}: it has {', '.join(table.columns[:8])}")
    further = [name for name in sorted(wanted) if name in table.columns and name not in single.columns]
    pieces = [_labels(part, truth, further, single.get_column(ID)) for part in table.parts]
    labels = pl.concat(_alike(pieces), how="vertical_relaxed")
    newest = (labels.sort(_TIME, maintain_order=True) if truth.time else labels).unique(
        subset=ID, keep="last", maintain_order=True
    )
    joined = single.join(newest.drop(_TIME), on=ID, how="left", maintain_order="left")
    labelled = joined.height - joined.get_column(LABEL).null_count()
    return Joined(joined, labelled, tuple(_notes(predictions.height - known.height, repeated, labels, newest)))


def _labels(part: Part, truth: GroundTruth, further: list[str], ids: pl.Series) -> pl.DataFrame:
    """Return the labels of one file that belong to a prediction."""
    table = Table((part,))
    time = _order(table.column(truth.time)) if truth.time else pl.repeat(None, part.rows, dtype=pl.Float64, eager=True)
    frame = pl.DataFrame(
        [
            as_text(table.column(truth.key)).alias(ID),
            table.column(truth.label).alias(LABEL),
            time.alias(_TIME),
            *(as_text(table.column(name)).alias(name) for name in further),
        ]
    )
    return frame.filter(pl.col(LABEL).is_not_null()).join(ids.to_frame(), on=ID, how="semi")


def _order(times: pl.Series) -> pl.Series:
    """Return times of any kind as numbers that grow with time; what cannot be read comes before all others."""
    if times.dtype.is_numeric():
        return times.cast(pl.Float64)
    if times.dtype == pl.String:
        times = times.str.to_datetime(strict=False, time_zone="UTC")
    if not times.dtype.is_temporal():
        return pl.repeat(None, times.len(), dtype=pl.Float64, eager=True)
    return times.cast(pl.Datetime("us")).cast(pl.Int64).cast(pl.Float64)


def _alike(pieces: list[pl.DataFrame]) -> list[pl.DataFrame]:
    """Bring the labels of all files to one type: numbers beside texts become texts."""
    kinds = {piece.schema[LABEL] for piece in pieces if piece.height}
    if len(kinds) <= 1 or all(kind.is_numeric() for kind in kinds):
        return [piece for piece in pieces if piece.height] or pieces[:1]
    return [piece.with_columns(as_text(piece.get_column(LABEL)).alias(LABEL)) for piece in pieces if piece.height]


def _notes(unnamed: int, repeated: int, labels: pl.DataFrame, newest: pl.DataFrame) -> list[str]:
    notes = []
    if unnamed:
        notes.append(f"{count(unnamed, 'prediction')} had no id and cannot be joined to ground truth.")
    if repeated:
        notes.append(f"{count(repeated, 'prediction')} repeated an id; the last answer counts.")
    double = labels.height - newest.height
    if double:
        differing = labels.group_by(ID).agg(pl.col(LABEL).n_unique().alias("kinds")).filter(pl.col("kinds") > 1).height
        notes.append(
            f"{count(double, 'label')} came again for the same id, with another value for {count(differing, 'id')}; "
            "the newest counts."
        )
    return notes
