"""`perennial agent drift`: reads reference and current data, compares them, writes report and verdict.

`data.reference` and `gather` store rows on disk, `columns` pairs the columns, `features` compares them with
`stats`, `performance` runs the checks with labels, `whole` compares predictions and all columns together, `segments`
repeats columns and checks by segment, `shards` divides the current data among pods, `history` keeps the scores,
`report` renders the result, `sagemaker` writes it in other formats, `verdict` fits it in the termination message.
"""

import logging
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from polars.exceptions import PanicException, PolarsError

from perennial.agent.drift.columns import select_columns
from perennial.agent.drift.data.current import Current, current_files, empty_text, unusable_text, widen
from perennial.agent.drift.data.privacy import guard_of, guarded
from perennial.agent.drift.data.reference import read_reference
from perennial.agent.drift.declared import declared_breaches, shown_parts
from perennial.agent.drift.embeddings.compare import compare_embeddings
from perennial.agent.drift.embeddings.select import embeddings_of, singly, without_embeddings
from perennial.agent.drift.features import compare_columns
from perennial.agent.drift.gather import count_ahead, gather, roles_of, texts_of, wanted_of
from perennial.agent.drift.history.store import ReportStore
from perennial.agent.drift.performance.checks import run_checks
from perennial.agent.drift.report.assemble import assemble
from perennial.agent.drift.report.write import write_report
from perennial.agent.drift.sagemaker.columns import exporter
from perennial.agent.drift.sagemaker.files import files_of
from perennial.agent.drift.segments.run import Sides, run_segments
from perennial.agent.drift.shards.agree import Shard, join_shards
from perennial.agent.drift.shards.outline import outline_store
from perennial.agent.drift.shards.sweep import remove_earlier
from perennial.agent.drift.verdict import no_verdict, verdict_of
from perennial.agent.drift.whole.duplicates import duplicate_findings
from perennial.agent.drift.whole.predictions import compare_predictions
from perennial.agent.drift.whole.together import compare_together
from perennial.agent.storage.errors import AgentError, classify
from perennial.agent.tables.files import Listing, passed_over, some
from perennial.agent.tables.table import Table
from perennial.agent.text import count
from perennial.api.contract.commands import DriftConfig
from perennial.api.contract.messages import DriftVerdict, NoVerdict, ShardWritten
from perennial.api.contract.report import DriftReport
from perennial.api.driftmonitor.resource import Features
from perennial.core.failures import DATA_INVALID

log = logging.getLogger(__name__)

JOB_VARIABLE = "PERENNIAL_JOB"
"""Name of the pod's Job, from the downward API. It identifies the verdict."""
_NAMES_SHOWN = 8


@dataclass(frozen=True)
class _Outcome:
    """A comparison with a verdict.

    Attributes:
        report: the complete result.
        files: content of further files beside the report, by name.
    """

    report: DriftReport
    files: Mapping[str, bytes]


def run(
    config: DriftConfig, store: ReportStore, now: datetime | None = None, job: str | None = None
) -> DriftVerdict | NoVerdict | ShardWritten:
    """Compare, write the report, and return the verdict or the reason why there is none.

    With shards, all but one of the pods only count a part; that one also removes what earlier comparisons have left.

    Args:
        config: what to compare, and how.
        store: storage for data and report.
        now: time of the comparison. None: the current time.
        job: name of the Job, used for the verdict and the report's folder. None: from PERENNIAL_JOB.

    Raises:
        AgentError: as in `core.failures`, such as DataInvalid and DigestMismatch.
    """
    moment = now or datetime.now(UTC)
    name = job or os.environ.get(JOB_VARIABLE) or f"{config.monitor}-by-hand"
    shard = join_shards(config, store, moment, name)
    outcome = _outcome(config, store, moment, name, shard)
    if isinstance(outcome, ShardWritten):
        return outcome
    result = _told(config, store, moment, name, outcome)
    if shard is not None:
        remove_earlier(store, shard)
    return result


def _outcome(
    config: DriftConfig, store: ReportStore, now: datetime, job: str, shard: Shard | None
) -> _Outcome | NoVerdict | ShardWritten:
    """Compare, in a folder that is removed afterwards."""
    scratch = Path(config.scratch)
    try:
        scratch.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="drift-", dir=scratch) as folder:
            files = current_files(store, config.current, now) if shard is None else shard.files
            moment = now if shard is None else shard.end
            if not files.files:
                return _nothing(config, files, shard, moment)
            return _compare(config, store, files, moment, job, folder=Path(folder), shard=shard)
    except OSError as error:  # a full disk, most likely
        raise classify(error, str(scratch)) from error
    except (PolarsError, PanicException) as error:
        raise AgentError(DATA_INVALID, f"the data cannot be read: {' '.join(str(error).split())[:300]}") from error


def _told(
    config: DriftConfig, store: ReportStore, now: datetime, job: str, outcome: _Outcome | NoVerdict
) -> DriftVerdict | NoVerdict:
    """Write the report, and return the verdict."""
    if isinstance(outcome, NoVerdict):
        log.info("no verdict: %s", outcome.message)
        return outcome
    report, uri = write_report(config, store, now, job, outcome.report, files=outcome.files)
    log.info(
        "%s: %d of %d columns drifted",
        "drift" if report.drifted else "no drift",
        report.drifted_features,
        report.compared_features,
    )
    return verdict_of(report, uri, config.message_bytes)


def _compare(
    config: DriftConfig,
    store: ReportStore,
    files: Listing,
    now: datetime,
    job: str,
    *,
    folder: Path,
    shard: Shard | None,
) -> _Outcome | NoVerdict | ShardWritten:
    types = config.features.types or {}
    guard = guard_of(config)
    config = guarded(config, guard.least)
    quality, hidden = shown_parts(config.checks.quality, guard)
    config = config.model_copy(update={"checks": config.checks.model_copy(update={"quality": quality})})
    outlines = None
    if shard is not None:
        outlines = outline_store(config, store, shard, roles_of(config))
        written = count_ahead(config, store, shard, outlines, _subfolder(folder, "part"))
        if written is not None:
            return written
    lists = config.features.embeddings or ()
    stated = {item.name for item in quality.columns} if quality else set()
    known = read_reference(
        store,
        config.reference,
        _subfolder(folder, "reference"),
        texts_of(config),
        config.reference_digest,
        lists=lists,
    )
    reference = guard.table(known.table)
    places = embeddings_of(config.features, reference)
    divided = {segment.column for segment in config.segments or ()}
    wanted = wanted_of(config, reference.columns) - guard.dropped
    wanted.update(name for place in places for name in place.columns)
    place = _subfolder(folder, "current")
    current = gather(
        config,
        store,
        files,
        shard,
        reference,
        now=now,
        wanted=wanted,
        guard=guard,
        folder=place,
        outlines=outlines,
    )
    if isinstance(current, ShardWritten):
        return current
    few = _too_few(config, reference, current, now)
    if few is not None:
        return few
    features, quality, unjudged = without_embeddings(config.features, quality, places)
    single = singly(places, reference.columns), singly(places, (*current.columns, *current.unwanted))
    chosen = select_columns(features, *single)
    if not (chosen.compared or places):  # a wrong features.include, not drift
        return no_verdict("NoCommonColumns", _no_common(reference, current, config.features))
    side = current.table if current.profile is None else current.profile
    sagemaker = config.formats is not None and "SageMaker" in config.formats
    columns = compare_columns(
        chosen,
        reference,
        side,
        checks=config.checks,
        types=types,
        roles=roles_of(config),
        attributes={*divided, *stated, *(name for check in config.checks.fairness for name in check.attributes)},
        unreadable=current.unreadable,
        least=guard.least,
        export=exporter(quality, reference, side, guard.least) if sagemaker else None,
    )
    embeddings = compare_embeddings(
        places,
        config.features,
        reference,
        current.table,
        checks=config.checks,
        unreadable=current.unreadable,
        least=guard.least,
    )
    comparison = embeddings.joined(columns)
    if not comparison.features:
        reasons = "; ".join(f"{item.name}: {item.reason}" for item in comparison.not_compared[:_NAMES_SHOWN])
        return no_verdict("NoCommonColumns", f"no column could be compared: {reasons}")
    results = run_checks(config, store, reference, _subfolder(folder, "checks"), now, guard=guard)
    kinds = {feature.name: feature.kind for feature in columns.features if feature.kind != "embedding"}
    answers = compare_predictions(config, store, reference, _subfolder(folder, "predictions"), now, least=guard.least)
    together, notes = compare_together(config.checks.multivariate, reference, current.table, kinds)
    results = results.joined((*answers.reports, *together), (*notes, *embeddings.notes(config)))
    breaches = declared_breaches(quality, current, kinds, guard.least)
    repeated = duplicate_findings(quality, reference, current.table, tuple(kinds))
    sides = Sides(reference, current.table, kinds, results, guard.least)
    segments = run_segments(config, sides, _subfolder(folder, "segments"))
    report = assemble(
        config,
        reference,
        current,
        comparison,
        results,
        digest=known.digest,
        segments=segments,
        predictions=answers.features,
        declared=(*(breach.finding for breach in breaches), *hidden, *unjudged),
        repeated=repeated,
        now=now,
        job=job,
    )
    return _Outcome(report, files_of(comparison, config.checks.drift, current.rows, breaches) if sagemaker else {})


def _nothing(config: DriftConfig, files: Listing, shard: Shard | None, now: datetime) -> NoVerdict | ShardWritten:
    """Say that the window has no files; of several shards, the first says so."""
    if shard is not None and shard.index:
        return ShardWritten(shard=shard.index, shards=shard.count, files=0, rows=0)
    text = " ".join((empty_text(config.current, now), *passed_over("current data", files.passed_over)))
    return no_verdict("WindowEmpty", text)


def _too_few(config: DriftConfig, reference: Table, current: Current, now: datetime) -> NoVerdict | None:
    least = config.checks.min_rows
    if current.rows == 0:
        return no_verdict("WindowEmpty", unusable_text(config.current, current, now))
    for side, rows in (("reference", reference.rows), ("current data", current.rows)):
        if rows < least:
            text = f"the {side} has {count(rows, 'row')}, but checks.minRows is {least:,}: "
            step = f"wait for more requests, {widen(config.current)} or lower checks.minRows"
            notes = current.notes if side == "current data" else ()
            return no_verdict("TooFewRows", " ".join((text + step + ("." if notes else ""), *notes)))
    return None


def _no_common(reference: Table, current: Current, features: Features) -> str:
    seen = (*current.columns, *current.unwanted)
    included = "" if features.include is None else f" features.include names {some(features.include)}."
    return (
        f"reference and current data have no column in common. The reference has {some(reference.columns)}; "
        f"the current data has {some(seen)}."
        f"{included} Give request tensors the names of the reference's columns, or correct features."
    )


def _subfolder(folder: Path, name: str) -> Path:
    path = folder / name
    path.mkdir()
    return path
