"""What the audit log records of a DriftMonitor: each verdict with figures and limits, and each retraining request."""

from collections.abc import Iterator
from datetime import datetime

from perennial.api.contract.audit import AuditEntry
from perennial.api.driftmonitor.checks import CheckScore
from perennial.api.driftmonitor.resource import DriftMonitor
from perennial.api.driftmonitor.status import DriftMonitorStatus, RetrainRequest, Verdict
from perennial.core.decision import Decision
from perennial.core.facts import Facts, figures
from perennial.core.kinds import DRIFT_MONITOR
from perennial.drift.comparisons import comparison_results
from perennial.drift.observe import Observed
from perennial.drift.retraining import findings_of, update_history


def facts(observed: Observed, decision: Decision, now: datetime) -> tuple[AuditEntry, ...]:
    """Return the facts that the status of a decision adds.

    Several comparisons may have ended since the last step. Status keeps the newest verdict; each of them is a fact.
    """
    if decision.status is None:
        return ()
    resource, before = observed.resource, observed.resource.status
    after = DriftMonitorStatus.model_validate(decision.status)
    found = update_history(before, comparison_results(observed.jobs, observed.pods, now), None, now, ()).verdicts
    requested = after.retrain if after.retrain != before.retrain else None
    return (
        *(_verdict(resource, item, now) for item in found),
        *((_request(resource, requested, now),) if requested is not None else ()),
    )


def _verdict(resource: DriftMonitor, verdict: Verdict, now: datetime) -> AuditEntry:
    found = ", ".join(findings_of(verdict)) or "no finding"
    unknown = ", ".join(name for name, state in _states(verdict) if state is None)
    not_judged = f"; not asked for or not judged: {unknown}" if unknown else ""
    return Facts(DRIFT_MONITOR, resource.metadata, now).entry(
        "VerdictReached",
        (verdict.id,),
        verdict.time,
        generation=resource.metadata.generation,
        model_digest=verdict.digest,
        run=verdict.run,
        figures=figures(_figures(verdict)),
        thresholds=figures(_thresholds(verdict)),
        message=f"verdict {verdict.id}: {found}{not_judged}",
    )


def _states(verdict: Verdict) -> tuple[tuple[str, bool | None], ...]:
    return (
        ("performance", verdict.degraded),
        ("estimated performance", verdict.likely_degraded),
        ("fairness", verdict.unfair),
    )


def _figures(verdict: Verdict) -> Iterator[tuple[str, str]]:
    yield "driftedColumns", f"{verdict.drifted_features} of {verdict.compared_features}"
    if verdict.reference_digest is not None:
        yield "reference", verdict.reference_digest
    if verdict.window is not None:
        yield "window", verdict.window.name
    yield "rows", f"{verdict.current_rows} against {verdict.reference_rows}"
    for item in _scores(verdict):
        yield _title(item), item.value if item.value is not None else "not judged"
    for feature in verdict.features:
        yield f"{feature.name} {feature.method}", feature.p_value or feature.score


def _thresholds(verdict: Verdict) -> Iterator[tuple[str, str]]:
    for item in _scores(verdict):
        if item.limit is not None:
            yield _title(item), item.limit
    for feature in verdict.features:
        yield f"{feature.name} {feature.method}", feature.threshold


def _scores(verdict: Verdict) -> tuple[CheckScore, ...]:
    """Results of checks, failed ones first; ten, so that there is room for columns."""
    return verdict.scores[:10]


def _title(item: CheckScore) -> str:
    return f"{item.check} {item.metric} {item.subject or ''}".strip()


def _request(resource: DriftMonitor, request: RetrainRequest, now: datetime) -> AuditEntry:
    policy = resource.spec.on_drift.retrain if resource.spec.on_drift is not None else None
    job = f" of TrainingJob {policy.training_job}" if policy is not None else ""
    return Facts(DRIFT_MONITOR, resource.metadata, now).entry(
        "RetrainRequested",
        (request.verdict,),
        request.time,
        generation=resource.metadata.generation,
        model_digest=request.digest,
        message=f"verdict {request.verdict} requests a run{job}: {', '.join(request.findings or ())}",
    )
