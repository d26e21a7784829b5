"""Estimates the error of predicted numbers from inputs and predictions, as learned on the reference."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl

from perennial.agent.drift.data.predictions import frame_of_files, read_predictions
from perennial.agent.drift.data.privacy import Guard
from perennial.agent.drift.hashes import hashed_apart
from perennial.agent.drift.performance.inputs import encoded_inputs
from perennial.agent.drift.whole.matrix import sample_rows
from perennial.agent.predictions.outputs import LABEL, tensor_of
from perennial.agent.predictions.rows import bounded, numbered, rows_of, usable_rows
from perennial.agent.tables.files import Store
from perennial.agent.tables.table import Table
from perennial.agent.text import percent
from perennial.api.common.measures import EstimatedOfNumbers
from perennial.api.contract.commands import DriftConfig
from perennial.stats.intervals import Estimate, Undefined
from perennial.stats.loss_estimation import expected_loss, fit_losses, root
from perennial.stats.regression import Regressed
from perennial.stats.samples import Floats

COLUMNS = 100
"""Most inputs that errors are learned from; of more the first ones."""
_LEARNED, _ESTIMATED = 20_000, 100_000
"""Most rows that errors are learned from, and that they are estimated for; of more a random sample."""
_ZEROS = 0.01
"""Largest share of labels 0 of the reference: which rows of the window mape would leave out is not known."""
_SEED = 20_018
"""The same data always give the same estimate."""


@dataclass(frozen=True, eq=False)
class Inputs:
    """Rows with predictions, of the reference and of the window.

    Attributes:
        before: inputs and prediction of the reference, shape (n, d); NaN is missing.
        truth: labels of the reference, shape (n,).
        predicted: its predictions, in the same unit.
        now: inputs and prediction of the window, shape (m, d).
        sampled: whether rows were left out at random.
    """

    before: Floats
    truth: Floats
    predicted: Floats
    now: Floats
    sampled: bool

    @property
    def size(self) -> int:
        """Number of rows of the window."""
        return int(self.now.shape[0])


@dataclass(frozen=True)
class EstimatedLoss:
    """An estimate, the same figure of the reference, and how it came about."""

    found: Estimate
    reference: float
    note: str


def read_inputs(
    config: DriftConfig, store: Store, reference: Table, folder: Path, now: datetime, *, guard: Guard
) -> Inputs:
    """Read inputs, predictions and the reference's labels.

    Args:
        config: how to read predictions, and the label; its ground truth's files are not read.
        store: storage.
        reference: reference data with predictions and labels.
        folder: an empty folder for downloads.
        now: end of the window.
        guard: columns that are dropped or hashed.

    Raises:
        Undefined: the reference has no predictions or labels, or there are too few rows.
        AgentError: DataInvalid, naming a file that cannot be read; or what storage raises.
    """
    label = config.ground_truth.label if config.ground_truth else None
    if label is None or label not in reference.columns:
        raise Undefined("errors are learned on the reference, which has no labels in the column groundTruth.label")
    newest = config.model_copy(update={"ground_truth": None})
    names = _inputs(config, reference)
    random = np.random.default_rng(_SEED)
    labels = reference.column(label)
    labelled = np.flatnonzero(labels.is_not_null().to_numpy())
    chosen = labelled[sample_rows(labelled.size, _LEARNED, random)]
    try:
        known = frame_of_files(reference, newest, names, chosen)
    except Undefined as error:
        raise Undefined(f"errors are learned on predictions of the reference ({error})") from error
    known = known.with_columns(labels.gather(chosen).alias(LABEL))
    kept = known.filter(pl.Series(usable_rows(known, "mae", config.predictions)))
    bounded(kept.height, known.height - kept.height)
    rows = rows_of(kept, "mae", config.predictions, k=1)
    if not isinstance(rows, Regressed):
        raise TypeError("the rows of mae are numbers")
    window = read_predictions(
        newest, store, names, folder, now, choose=lambda amount: sample_rows(amount, _ESTIMATED, random)
    )
    present, predicted = numbered(guard.frame(window.frame))
    bounded(present.height, window.frame.height - present.height)
    if present.height < config.checks.min_rows:
        raise Undefined(f"{present.height:,} predictions, but checks.minRows is {config.checks.min_rows:,}")
    # Of a column that is hashed on one side only, every category of the other would be a new one.
    both = [
        name
        for name in names
        if name in present.columns and not hashed_apart(kept.get_column(name), present.get_column(name))
    ]
    types = config.features.types or {}
    before, after = encoded_inputs(kept, present, both, types)
    return Inputs(
        np.column_stack([*before, rows.predicted]),
        rows.truth,
        rows.predicted,
        np.column_stack([*after, predicted]),
        sampled=labelled.size > _LEARNED or window.rows > _ESTIMATED,
    )


def estimate_loss(metric: EstimatedOfNumbers, rows: Inputs) -> EstimatedLoss:
    """Estimate an error metric of the window.

    Raises:
        Undefined: the reference has too few rows, or for mape too many labels 0.
    """
    losses, note = _losses(metric, rows)
    known = ~np.isnan(losses)
    model = fit_losses(rows.before[known], losses[known], np.random.default_rng(_SEED))
    mean = expected_loss(model, rows.now)
    learned = (
        f"{percent(model.explained)} of the variance of the errors is explained on rows that were not learned from"
        if model.explained
        else "the inputs do not tell where errors are larger, so that the estimate is the reference's own figure"
    )
    note = (
        f"{metric} is estimated from errors learned on {model.rows:,} rows of the reference: {learned}. "
        f"{percent(model.covers(rows.now))} of the rows lie within the range of the reference.{note}"
    )
    if rows.sampled:
        note += f" At most {_LEARNED:,} rows were learned from and {_ESTIMATED:,} estimated, chosen at random."
    if metric == "rmse":
        return EstimatedLoss(root(mean), float(np.sqrt(model.mean)), note)
    return EstimatedLoss(mean, model.mean, note)


def _losses(metric: EstimatedOfNumbers, rows: Inputs) -> tuple[Floats, str]:
    """Return what is averaged for each row of the reference, NaN for those without, and a note about these.

    For mape it is the error relative to the label, which the reference has: none of the window is divided by.
    """
    with np.errstate(over="ignore"):  # fit_losses refuses what becomes infinite
        errors = np.abs(rows.truth - rows.predicted)
        match metric:
            case "mae":
                return errors, ""
            case "rmse":
                return errors**2, ""
            case "mape":
                zeros = int(np.count_nonzero(rows.truth == 0))
                if zeros > _ZEROS * rows.truth.size:
                    raise Undefined(
                        f"{zeros:,} of {rows.truth.size:,} labels of the reference are 0, which have no relative "
                        f"error: mape can be estimated if at most {percent(_ZEROS)} are; use mae"
                    )
                relative = np.full(errors.size, np.nan)
                np.divide(errors, np.abs(rows.truth), out=relative, where=rows.truth != 0)
                return relative, f" {zeros:,} rows of it with label 0 are left out." if zeros else ""


def _inputs(config: DriftConfig, reference: Table) -> list[str]:
    """Return the columns of the reference that are inputs of the model, as far as `features` has them."""
    labels, predictions = config.ground_truth, config.predictions
    roles = {predictions.output, predictions.group}
    if labels:
        roles |= {labels.label, labels.id or labels.key}
    features = config.features
    allowed = set(reference.columns if features.include is None else features.include) - set(features.exclude or ())
    inputs = (name for name in reference.columns if name in allowed and not {name, tensor_of(name)} & roles)
    return [name for name in inputs if not reference.nested(name)][:COLUMNS]
