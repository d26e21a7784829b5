"""Compares all columns together: can rows of both sides be told apart, and do their columns still belong together?"""

import logging
from collections.abc import Mapping

import numpy as np

from perennial.agent.drift.columns import Kind
from perennial.agent.drift.whole.matrix import COLUMNS, Encoded, encode
from perennial.agent.tables.table import Table
from perennial.agent.text import count
from perennial.api.contract.report import CheckReport
from perennial.api.driftmonitor.whole import MultivariateCheck
from perennial.stats.multivariate import FOLDS, LEVEL, domain_auc, reconstruction

log = logging.getLogger(__name__)

CLASSIFIER, ERROR = "classifierAuc", "reconstructionError"
_SEED = 20_017
"""The same data always give the same verdict."""


def compare_together(
    check: MultivariateCheck | None, reference: Table, current: Table, kinds: Mapping[str, Kind]
) -> tuple[tuple[CheckReport, ...], tuple[str, ...]]:
    """Compare all columns together; return one report for each of the two tests, and notes.

    Args:
        check: bounds; None: nothing is compared.
        reference: rows of the reference.
        current: rows of the current data.
        kinds: kind of each column that was compared by itself, in any order.

    Raises:
        AgentError: DataInvalid, if a file cannot be read.
    """
    if check is None:
        return (), ()
    named = {name: kinds[name] for name in reference.columns if name in kinds}
    # The choice must not depend on what has drifted: p-values hold for columns that were chosen beforehand.
    random = np.random.default_rng(_SEED)
    encoded = encode(reference, current, named, check.max_rows, random)
    sizes = np.count_nonzero(~encoded.current), np.count_nonzero(encoded.current)
    if len(named) < 2 or min(sizes) < 2 * FOLDS:  # noqa: PLR2004 - two columns
        why = f"{count(len(named), 'column')} and {min(sizes)} rows; two columns and {2 * FOLDS} rows are needed"
        return tuple(CheckReport(check="multivariate", metric=name, why=why) for name in (CLASSIFIER, ERROR)), ()
    reports = (_classifier(check, encoded, random), _error(check, encoded, random))
    log.info("compared %d columns together, in %d features", min(len(named), COLUMNS), encoded.features.shape[1])
    return reports, _notes(check, reference, current, len(named))


def _classifier(check: MultivariateCheck, encoded: Encoded, random: np.random.Generator) -> CheckReport:
    blank = CheckReport(check="multivariate", metric=CLASSIFIER, limit=f"below {check.max_auc}")
    if not encoded.features.shape[1]:
        return blank.model_copy(update={"why": "all rows of both sides are alike"})
    found = domain_auc(encoded.features, encoded.current, random)
    failed = found.value >= float(check.max_auc) and found.p_value <= LEVEL
    return blank.model_copy(
        update={
            "value": found.value,
            "p_value": found.p_value,
            "failed": failed,
            "rows": int(encoded.current.size),
            "subject": f"mostly by {_strongest(encoded)}" if failed else None,
        }
    )


def _strongest(encoded: Encoded) -> str:
    """Name the feature that differs most between the sides."""
    means = encoded.features[encoded.current].mean(axis=0) - encoded.features[~encoded.current].mean(axis=0)
    return encoded.names[int(np.argmax(np.abs(means)))]


def _error(check: MultivariateCheck, encoded: Encoded, random: np.random.Generator) -> CheckReport:
    blank = CheckReport(
        check="multivariate", metric=ERROR, limit=f"within {float(check.max_error_change):.3g} of the reference's"
    )
    found = reconstruction(encoded.values[~encoded.current], encoded.values[encoded.current], random)
    if found is None:
        return blank.model_copy(update={"why": "no column of the reference has different values"})
    return blank.model_copy(
        update={
            "value": found.current,
            "p_value": found.p_value,
            "reference": found.reference,
            "failed": abs(found.change) >= float(check.max_error_change) and found.p_value <= LEVEL,
            "rows": int(np.count_nonzero(encoded.current)),
        }
    )


def _notes(check: MultivariateCheck, reference: Table, current: Table, columns: int) -> tuple[str, ...]:
    notes = []
    if max(reference.rows, current.rows) > check.max_rows:
        notes.append(f"All columns together: compared on at most {check.max_rows:,} random rows of each side.")
    if columns > COLUMNS:
        notes.append(f"All columns together: the first {COLUMNS} of {columns:,} columns.")
    return tuple(notes)
