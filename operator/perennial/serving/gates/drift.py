"""The gate of a DriftMonitor: its verdict about the candidate's own requests and predictions."""

from datetime import datetime

from perennial.api.driftmonitor.resource import DriftMonitor
from perennial.api.driftmonitor.status import DriftMonitorStatus, Finding, Verdict
from perennial.api.modeldeployment.gates import DriftGate
from perennial.api.modeldeployment.revisions import Revision
from perennial.core.times import moment_of
from perennial.serving.gates.judgement import Judgement


def judge_drift(
    wanted: DriftGate, monitor: DriftMonitor | None, name: str, candidate: Revision, since: datetime
) -> Judgement:
    """Judge by the newest verdict about the candidate.

    Args:
        wanted: the gate.
        monitor: the DriftMonitor that it names; None: there is none, or it cannot be read.
        name: name of the ModelDeployment.
        candidate: the revision that is judged.
        since: when its rollout began; an older verdict is about an earlier attempt.
    """
    unfit = _unfit(wanted.monitor, monitor, name)
    if monitor is None or unfit is not None:
        return Judgement("Inconclusive", unfit or "")
    verdict = monitor.status.last_verdict
    at = moment_of(verdict.time) if verdict is not None else None
    if verdict is None or at is None or verdict.digest != candidate.digest or at < since:
        return _without_verdict(monitor.metadata.name, monitor.status, since)
    return _judge(wanted, monitor.metadata.name, verdict)


def _unfit(named: str, monitor: DriftMonitor | None, name: str) -> str | None:
    """Find why a monitor says nothing about candidates of this ModelDeployment."""
    if monitor is None:
        return f"there is no valid DriftMonitor {named} in this namespace: create it, or remove the gate"
    target = monitor.spec.target
    if target.model_deployment != name or target.revision != "Candidate":
        return (
            f"DriftMonitor {named} does not monitor candidates of {name}: it needs target.modelDeployment: {name} and "
            "target.revision: Candidate"
        )
    if monitor.spec.suspend:
        return f"DriftMonitor {named} is suspended: set its spec.suspend to false"
    return None


def _without_verdict(name: str, status: DriftMonitorStatus, since: datetime) -> Judgement:
    run = status.last_run
    at = moment_of(run.time) if run is not None else None
    if run is None or at is None or at < since or run.result == "Verdict":
        return Judgement("Pending", f"DriftMonitor {name} has given no verdict about the candidate yet")
    said = f"{run.reason or run.result}: {run.message or ''}".rstrip(": ")
    return Judgement("Inconclusive", f"the newest comparison of DriftMonitor {name} gave no verdict: {said}")


def _judge(wanted: DriftGate, name: str, verdict: Verdict) -> Judgement:
    """Judge the findings that the gate asks about; one that the monitor has not judged is not taken for good."""
    known: dict[Finding, bool | None] = {
        "Drift": verdict.drifted,
        "Degradation": verdict.degraded,
        "LikelyDegradation": verdict.likely_degraded,
        "Unfairness": verdict.unfair,
        "SegmentDeviation": verdict.segments.deviate if verdict.segments else None,
        "PredictionDrift": verdict.prediction_drift,
        "MultivariateDrift": verdict.multivariate_drift,
    }
    figures = {
        "driftedFeatures": str(verdict.drifted_features),
        "comparedFeatures": str(verdict.compared_features),
        "currentRows": str(verdict.current_rows),
        "verdict": verdict.id[-64:],
    }
    found = [finding for finding in wanted.findings if known[finding]]
    unknown = [finding for finding in wanted.findings if known[finding] is None]
    if found:
        return Judgement("Failed", f"DriftMonitor {name} finds {', '.join(found)} ({verdict.id})", figures)
    if unknown:
        said = f"DriftMonitor {name} has not judged {', '.join(unknown)} ({verdict.id}): see its checks and status"
        return Judgement("Inconclusive", said, figures)
    return Judgement("Passed", f"DriftMonitor {name} finds no {', no '.join(wanted.findings)} ({verdict.id})", figures)
