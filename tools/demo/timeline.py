"""Describes what changed between two reads of the three resources. Pure: no cluster, no clock."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from perennial.api.common.base import Resource
from perennial.api.common.status import BaseStatus
from perennial.api.driftmonitor.resource import DriftMonitor
from perennial.api.driftmonitor.status import FeatureScore, Verdict, p_value_text
from perennial.api.modeldeployment.resource import ModelDeployment
from perennial.api.modeldeployment.revisions import Candidate, Revision
from perennial.api.trainingjob.resource import CurrentRun, RunRecord, TrainingJob, Trigger

DIGEST_DIGITS = 12
FEATURES_SHOWN = 5

ResourceT = TypeVar("ResourceT", bound=Resource)


@dataclass(frozen=True)
class Snapshot:
    """The resources of a namespace at one moment."""

    jobs: tuple[TrainingJob, ...] = ()
    deployments: tuple[ModelDeployment, ...] = ()
    monitors: tuple[DriftMonitor, ...] = ()

    @staticmethod
    def of(items: Sequence[Mapping[str, Any]]) -> "Snapshot":
        """Parse the `items` of one `kubectl get tj,md,dm -o json`; objects of other kinds are left out.

        Raises:
            pydantic.ValidationError: an object is not what its CRD promises.
        """

        def kind(name: str) -> list[Mapping[str, Any]]:
            return [item for item in items if item.get("kind") == name]

        return Snapshot(
            tuple(TrainingJob.model_validate(item) for item in kind("TrainingJob")),
            tuple(ModelDeployment.model_validate(item) for item in kind("ModelDeployment")),
            tuple(DriftMonitor.model_validate(item) for item in kind("DriftMonitor")),
        )


def lines(before: Snapshot | None, after: Snapshot) -> list[str]:
    """Return what is new in `after`, one line for each happening; a line that starts with spaces goes with the last.

    With no `before`, everything that has happened so far is told, so that a demo that is started again shows where
    it stands.
    """
    old = before or Snapshot()
    return [
        # A verdict comes before the run that it asked for, and the run before the rollout of its model.
        *_told(old.monitors, after.monitors, _watching),
        *_told(old.jobs, after.jobs, _training),
        *_told(old.deployments, after.deployments, _serving),
    ]


def short(digest: str) -> str:
    """Return enough of a digest to tell it from others: `sha256:0123456789ab`."""
    kind, _, digits = digest.partition(":")
    return f"{kind}:{digits[:DIGEST_DIGITS]}"


def _told(
    before: tuple[ResourceT, ...],
    after: tuple[ResourceT, ...],
    tell: Callable[[ResourceT | None, ResourceT], Iterator[str]],
) -> Iterator[str]:
    known = {item.metadata.uid or item.metadata.name: item for item in before}
    for item in after:
        yield from tell(known.get(item.metadata.uid or item.metadata.name), item)


def _training(before: TrainingJob | None, after: TrainingJob) -> Iterator[str]:
    old, new = before.status if before else None, after.status
    known = {run.name for run in old.runs} if old else set()
    ended = [run for run in reversed(new.runs) if run.name not in known]
    started = old.current_run.name if old and old.current_run else None
    artifact = old.artifact if old else None
    metrics: Mapping[str, str] = (artifact.metrics if artifact else None) or {}
    for run in ended:
        if run.name != started:
            yield _run_started(run.name, run.trigger)
        yield from _run_ended(run, metrics)
        metrics = run.metrics or metrics
    if new.current_run is not None:
        yield from _run_goes_on(old.current_run if old else None, new.current_run)
    yield from _stalled("TrainingJob", after.metadata.name, old, new)


def _run_started(name: str, trigger: Trigger) -> str:
    match trigger.kind:
        case "Drift":
            why = f"requested by DriftMonitor {trigger.monitor}, verdict {trigger.verdict}"
        case "SpecChanged":
            why = "its spec has changed"
        case "Created":
            why = "the TrainingJob is new"
        case other:
            why = f"its trigger: {other}"
    return f"training run {name} started ({why})"


def _run_goes_on(before: CurrentRun | None, now: CurrentRun) -> Iterator[str]:
    if before is None or before.name != now.name:
        yield _run_started(now.name, now.trigger)
    elif before.attempt != now.attempt:
        because = f": {now.last_failure}" if now.last_failure else ""
        yield f"training run {now.name} is retried, attempt {now.attempt + 1}{because}"


def _run_ended(run: RunRecord, metrics_before: Mapping[str, str]) -> Iterator[str]:
    if run.result != "Succeeded":
        yield f"training run {run.name} ended: {run.result} ({run.reason}){_after_colon(run.message)}"
    elif run.artifact_digest is None:
        yield f"training run {run.name} succeeded; it published nothing"
    else:
        yield f"artifact published by run {run.name}: {short(run.artifact_digest)}"
        if run.metrics:
            yield f"  metrics: {_metrics(metrics_before, run.metrics)}"


def _metrics(before: Mapping[str, str], after: Mapping[str, str]) -> str:
    def one(name: str) -> str:
        old, new = before.get(name), after[name]
        return f"{name} {new}" if old in (None, new) else f"{name} {old} → {new}"

    return ", ".join(one(name) for name in sorted(after))


def _serving(before: ModelDeployment | None, after: ModelDeployment) -> Iterator[str]:
    old, new = before.status if before else None, after.status
    name = after.metadata.name
    candidate_before = old.candidate if old else None
    if new.candidate is not None:
        if candidate_before is None or candidate_before.hash != new.candidate.hash:
            yield f"candidate {new.candidate.name} is rolled out: {_model(new.candidate)}"
        if new.candidate.phase == "Failed" and (
            candidate_before is None
            or (candidate_before.hash, candidate_before.phase) != (new.candidate.hash, "Failed")
        ):
            yield f"candidate {new.candidate.name} failed ({new.candidate.reason}){_after_colon(new.candidate.message)}"
        else:
            yield from _candidate(candidate_before, new.candidate)
    stable_before = old.stable if old else None
    if new.stable is not None and (stable_before is None or stable_before.hash != new.stable.hash):
        verb = "serves" if stable_before is None else "is promoted and receives all traffic"
        yield f"deployment {name}: {new.stable.name} {verb}, {_model(new.stable)}"
        if new.url and (old is None or old.url != new.url):
            yield f"  URL inside the cluster: {new.url}"
    elif old is not None and old.ready_replicas != new.ready_replicas:
        yield f"deployment {name}: {new.ready_replicas} of {new.replicas} pods are ready"
    if new.phase == "Stable" and (old is None or old.phase != "Stable"):
        yield f"deployment {name} is stable"
    yield from _stalled("ModelDeployment", name, old, new)


def _candidate(before: Candidate | None, now: Candidate) -> Iterator[str]:
    """Report the share of requests that a candidate has reached, and the gates that it has passed."""
    old = before if before is not None and before.hash == now.hash else None
    passed = {gate.name for gate in (old.gates if old else None) or () if gate.verdict == "Passed"}
    for gate in now.gates or ():
        if gate.verdict == "Passed" and gate.name not in passed:
            yield f"candidate {now.name} passes the gate {gate.name}{_after_colon(gate.message)}"
    if now.reached_weight and (old is None or old.reached_weight != now.reached_weight):
        yield f"candidate {now.name} takes {now.reached_weight} % of the requests"


def _model(revision: Revision) -> str:
    run = f" of run {revision.run}" if revision.run else ""
    return f"model {short(revision.digest)}{run}"


def _watching(before: DriftMonitor | None, after: DriftMonitor) -> Iterator[str]:
    old, new = before.status if before else None, after.status
    name = after.metadata.name
    last = new.last_run
    if last and last.result != "Verdict" and not (old and old.last_run and old.last_run.job == last.job):
        verb = "has no verdict yet" if last.result == "NoVerdict" else "failed to compare"
        yield f"monitor {name} {verb} ({last.reason}){_after_colon(last.message)}"
    verdict = new.last_verdict
    if verdict and not (old and old.last_verdict and old.last_verdict.id == verdict.id):
        yield from _verdict(name, verdict)
    request = new.retrain
    if request and not (old and old.retrain and old.retrain.verdict == request.verdict):
        target = (
            after.spec.on_drift.retrain.training_job if after.spec.on_drift and after.spec.on_drift.retrain else "?"
        )
        yield f"monitor {name} requests a run of TrainingJob {target}, because of verdict {request.verdict}"
    yield from _stalled("DriftMonitor", name, old, new)


def _verdict(name: str, verdict: Verdict) -> Iterator[str]:
    word = "DRIFT" if verdict.drifted else "no drift"
    of_run = f" of run {verdict.run}" if verdict.run else ""
    yield (
        f"monitor {name}: {word}, {verdict.drifted_features} of {verdict.compared_features} columns drifted "
        f"({verdict.current_rows} rows in the window, {verdict.reference_rows} in the reference, model{of_run})"
    )
    if verdict.drifted:
        shown = [item for item in verdict.features if item.drifted][:FEATURES_SHOWN]
        width = max((len(item.name) for item in shown), default=0)
        yield from (f"  {item.name:{width}}  {_score(item)}" for item in shown)
    yield from (f"  data: {finding}" for finding in verdict.quality_findings)
    if verdict.report_uri:
        yield f"  report: {verdict.report_uri}"


def _score(item: FeatureScore) -> str:
    figure = item.score if item.p is None else p_value_text(item.p)
    return f"{item.method} {figure} (threshold {item.threshold})"


def _stalled(kind: str, name: str, old: BaseStatus | None, new: BaseStatus) -> Iterator[str]:
    """Report each Stalled condition once."""

    def found(status: BaseStatus | None) -> dict[str, str]:
        conditions = status.conditions if status else ()
        return {item.reason: item.message for item in conditions if item.type == "Stalled" and item.status == "True"}

    known = found(old)
    for reason, message in found(new).items():
        if reason not in known:
            yield f"{kind} {name} is stalled ({reason}){_after_colon(message)}"


def _after_colon(message: str | None) -> str:
    return f": {message}" if message else ""
