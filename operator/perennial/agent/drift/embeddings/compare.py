"""Compares embeddings: lists of numbers of one length, each column as a whole."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np

from perennial.agent.drift.availability import missing_findings
from perennial.agent.drift.embeddings.survey import Survey, sampled_rows, survey
from perennial.agent.drift.features import FeatureResult, most_drift
from perennial.agent.tables.files import some
from perennial.agent.tables.table import Table
from perennial.agent.tables.vectors import Place, is_in
from perennial.agent.text import count, number, percent, share_of
from perennial.api.contract.commands import DriftConfig
from perennial.api.contract.report import ColumnSide, FeatureReport, NotCompared
from perennial.api.driftmonitor.resource import Checks, DriftCheck, Features
from perennial.api.driftmonitor.status import p_value_text
from perennial.stats.compare import Comparison
from perennial.stats.embedding import AUC, CHANCE, LEAST_ROWS, Shift, embedding_shift
from perennial.stats.missing import missing_change
from perennial.stats.samples import Categorical

log = logging.getLogger(__name__)

MOST_ROWS = 10_000
"""Rows of each side that are compared; more are sampled by a hash of their content."""
MOST_NUMBERS = 2**22
"""Numbers of each side that are compared, which bounds the rows of long embeddings: 32 MiB."""
DEFAULT_AUC = 0.55
_SEED = 20_017
"""The same data always give the same verdict."""
_NOTABLE = 0.01
"""Share of embeddings from which those that cannot be used are a finding."""
_BELOW = 0.999
"""Largest ratio to the threshold of what has not drifted."""


@dataclass(frozen=True)
class Embeddings:
    """What was found of the embeddings, beside the other columns."""

    features: tuple[FeatureReport, ...] = ()
    not_compared: tuple[NotCompared, ...] = ()
    findings: tuple[str, ...] = ()

    def joined(self, columns: FeatureResult) -> FeatureResult:
        """Return the result of all columns, most drift first."""
        return replace(
            columns,
            features=tuple(sorted((*columns.features, *self.features), key=most_drift)),
            not_compared=(*columns.not_compared, *self.not_compared),
            findings=(*columns.findings, *self.findings),
        )

    def notes(self, config: DriftConfig) -> tuple[str, ...]:
        """Say which checks do not look at embeddings."""
        parts = (("segments", config.segments), ("checks.multivariate", config.checks.multivariate))
        named = " and ".join(name for name, given in parts if given)
        if not (self.features and named):
            return ()
        return (f"{some([item.name for item in self.features])}: compared as embeddings; {named} leave them out.",)


def compare_embeddings(
    places: Sequence[Place],
    features: Features,
    reference: Table,
    current: Table,
    *,
    checks: Checks,
    unreadable: Mapping[str, str] = MappingProxyType({}),
    least: int | None = None,
) -> Embeddings:
    """Compare the embeddings that `features` selects, with one of them in memory.

    What cannot be compared is named with the reason, and is a finding, since it was declared.

    Args:
        places: where they may be found.
        features: selection of columns; with `include`, only the embeddings in it are compared.
        reference: rows of the reference.
        current: rows of the current data.
        checks: threshold, and limit of missing values.
        unreadable: columns that no request had in a readable form, with the reason.
        least: rows that whatever is shown must have behind it. None: the defaults.

    Raises:
        AgentError: DataInvalid, if a file cannot be read.
    """
    reports: list[FeatureReport] = []
    left_out: list[NotCompared] = []
    findings: list[str] = []
    for place in places:
        name = place.name
        if name in (features.exclude or ()) or name not in (features.include or (name,)):
            continue
        found: FeatureReport | str | None = _lacking(place, reference, current, unreadable)
        if found is None:
            pair = _Pair(place, (reference, current), (survey(place, reference), survey(place, current)))
            findings.extend(_unusable(pair, least or 1))
            found = _compare(pair, checks.drift, least or 1)
        if isinstance(found, FeatureReport):
            reports.append(found)
        else:
            left_out.append(NotCompared(name=name, reason=found))
            findings.append(f"{name}: not judged as an embedding, since {found}")
        log.info("compared the embedding %s", name)
    if checks.quality is not None and checks.quality.max_missing is not None:
        findings.extend(missing_findings(reports, float(checks.quality.max_missing)))
    return Embeddings(tuple(reports), tuple(left_out), tuple(findings))


@dataclass(frozen=True, eq=False)
class _Pair:
    """An embedding on both sides: the reference, then the current data."""

    place: Place
    tables: tuple[Table, Table]
    sides: tuple[Survey, Survey]

    @property
    def width(self) -> int:
        """Numbers of each embedding that can be compared: those of most rows of the reference, 0 without any."""
        return self.sides[0].width

    @property
    def usable(self) -> tuple[int, int]:
        """Number of rows that can be compared."""
        before, now = (side.of(self.width).size for side in self.sides)
        return before, now


def _lacking(place: Place, reference: Table, current: Table, unreadable: Mapping[str, str]) -> str | None:
    """Return why an embedding cannot be compared if a side has no column for it."""
    name = place.name
    if not is_in(place, reference):
        return f"the reference has neither lists in a column {name} nor columns {name}.0, {name}.1, ..."
    if not is_in(place, current) and name in unreadable:
        return f"no request has it in a readable form: {unreadable[name]}"
    return None


def _compare(pair: _Pair, check: DriftCheck, least: int) -> FeatureReport | str:
    """Compare one embedding, or return why it cannot be."""
    width, needed = pair.width, max(LEAST_ROWS, least)
    if not width:
        return "no row of the reference has a list of finite numbers"
    before, now = (_presence(side, width) for side in pair.sides)
    change = missing_change(before, now)
    if min(pair.usable) < needed:
        return _few(pair, needed, least) if change is None else _missing_report(pair, change)
    most = max(LEAST_ROWS, min(MOST_ROWS, MOST_NUMBERS // width))
    samples = [
        sampled_rows(pair.place, table, width, side.of(width), most)
        for table, side in zip(pair.tables, pair.sides, strict=True)
    ]
    report = _report(pair, embedding_shift(samples[0], samples[1], _SEED), check, most)
    if change is not None and not (report.drifted and (report.badness or 0) >= change.badness):
        return _missing_report(pair, change)
    return report


def _few(pair: _Pair, needed: int, least: int) -> str:
    amount = min(pair.usable)
    lacking = "reference" if pair.usable[0] == amount else "current data"
    told = f"{amount}" if amount == 0 or amount >= least else f"fewer than {least}"
    return (
        f"{told} rows of the {lacking} have an embedding of {pair.width} finite numbers; at least {needed} are needed"
    )


def _presence(side: Survey, width: int) -> Categorical:
    usable = side.of(width).size
    return Categorical({"embedding": usable} if usable else {}, side.rows - usable)


def _side(side: Survey, width: int) -> ColumnSide:
    usable = side.of(width)
    missing = side.rows - usable.size
    return ColumnSide(
        rows=side.rows,
        missing=missing,
        missing_share=missing / side.rows if side.rows else 0.0,
        unreadable=side.broken + side.lengths.size - usable.size,
        distinct=int(np.unique(usable).size),
    )


def _unusable(pair: _Pair, least: int) -> list[str]:
    """Say how many embeddings of the current data cannot be used, if they are more than in the reference."""
    name, width, (before, now) = pair.place.name, pair.width, pair.sides
    if not (width and now.rows):
        return []
    found = []
    others = [side.lengths.size - side.of(width).size for side in (before, now)]
    if _more(others, before.rows, now.rows):
        share = share_of(others[1], now.rows, least)
        text = f"embeddings of another length than the {width} numbers of the reference, mostly {now.other_than(width)}"
        found.append(f"{name}: {share} of the rows have {text}")
    if _more([before.broken, now.broken], before.rows, now.rows):
        share = share_of(now.broken, now.rows, least)
        found.append(f"{name}: {share} of the rows have embeddings with a number that is missing or infinite")
    return found


def _more(amounts: Sequence[int], before: int, now: int) -> bool:
    share = amounts[1] / now
    return share >= _NOTABLE and share > (amounts[0] / before if before else 0.0)


def _report(pair: _Pair, shift: Shift, check: DriftCheck, most: int) -> FeatureReport:
    least = DEFAULT_AUC if check.embedding_auc is None else float(check.embedding_auc)
    threshold = max(least, shift.chance)
    drifted = shift.significant and shift.auc >= least
    badness = max(0.0, (shift.auc - CHANCE) / (threshold - CHANCE))
    before, now = (min(amount, most) for amount in pair.usable)
    raised = "; threshold raised to what chance makes with so few rows" if threshold > least else ""
    found = f"area under the ROC curve {number(shift.auc)}, 0.5 is chance ({p_value_text(shift.p_value)})"
    verb = "A classifier tells" if drifted else "No drift: a classifier does not tell"
    return FeatureReport(
        name=pair.place.name,
        kind="embedding",
        method=AUC,
        score=shift.auc,
        statistic=shift.auc,
        p_value=shift.p_value,
        threshold=threshold,
        drifted=drifted,
        badness=badness if drifted else min(badness, _BELOW),
        why=f"embeddings of {count(pair.width, 'number')}: a domain classifier on {shift.components} principal "
        f"components of {before:,} rows of the reference and {now:,} current rows{raised}",
        sentence=f"{verb} current embeddings from those of the reference: {found}.",
        reference=_side(pair.sides[0], pair.width),
        current=_side(pair.sides[1], pair.width),
    )


def _missing_report(pair: _Pair, change: Comparison) -> FeatureReport:
    """Report that the share of rows with a usable embedding has changed."""
    reference, current = (_side(side, pair.width) for side in pair.sides)
    before, now = (percent(side.missing_share) for side in (reference, current))
    return FeatureReport(
        name=pair.place.name,
        kind="embedding",
        method=change.method,
        score=change.score,
        statistic=change.statistic,
        threshold=change.threshold,
        drifted=change.drifted,
        badness=change.badness,
        why=change.why,
        sentence=f"{before} of the rows had no embedding of {count(pair.width, 'number')}, now {now}.",
        reference=reference,
        current=current,
    )
