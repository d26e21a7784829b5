"""Results of comparisons, read from their Jobs and pods. Termination messages are validated by `core.termination`.

The model that a verdict is about is read from annotations of its pod: by now a rollout may have replaced the model.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from pydantic import ValidationError

from perennial.api.common.base import Digest, Model, ShortText
from perennial.api.contract.messages import DriftVerdict, Failure, NoVerdict, ShardWritten
from perennial.api.driftmonitor.checks import CheckScore
from perennial.api.driftmonitor.status import LastRun, Verdict
from perennial.api.kubernetes import Job, KubeCondition, Pod, Terminated, condition
from perennial.core.conditions import shorten
from perennial.core.container_exit import WRONG_CPU_HELP, ExitKind, judge_agent
from perennial.core.failures import INTERRUPTED, by_reason
from perennial.core.labels import JOB_INDEX_KEY, JOB_NAME_LABEL, MODEL_DIGEST_ANNOTATION, MODEL_RUN_ANNOTATION
from perennial.core.termination import BadMessage, agent_words, failure_words, parse_verdict
from perennial.core.times import format_time, parse_time
from perennial.core.waiting import clean
from perennial.drift import reasons
from perennial.drift.segments import printable
from perennial.drift.windows import has_ended

CONTAINER = "drift"

_Ended = tuple[Pod, Terminated, datetime]
"""A pod, how its container ended, and when."""

_MOST = 2**53
_GRACE = timedelta(seconds=60)
"""Time after a Job's completion within which the last state of its pod may still arrive."""


@dataclass(frozen=True, order=True)
class EndedAt:
    """Sort key of comparisons: end time, then name of the Job."""

    time: datetime
    job: str


@dataclass(frozen=True)
class ComparisonResult:
    """One finished comparison."""

    ended: EndedAt
    run: LastRun
    verdict: Verdict | None = None


class _ModelAnnotations(Model):
    """Pod annotations that identify the model under comparison."""

    digest: Digest | None = None
    run: ShortText | None = None


def comparison_results(jobs: Iterable[Job], pods: Iterable[Pod], now: datetime) -> tuple[ComparisonResult, ...]:
    """Return the finished comparisons, oldest first. A Job that still retries is not finished.

    A complete Job whose pod is gone has lost its verdict: that is a result of its own, never silence.
    """
    by_name = {job.metadata.name: job for job in jobs}
    by_job: dict[str, list[_Ended]] = {name: [] for name in by_name}
    for pod in pods:
        name, ended = pod.metadata.labels.get(JOB_NAME_LABEL), _ended(pod)
        if name and ended is not None:
            by_job.setdefault(name, []).append((pod, *ended))
    found = (_result(name, by_name.get(name), ended, now) for name, ended in by_job.items())
    return tuple(sorted((item for item in found if item is not None), key=lambda item: item.ended))


def _ended(pod: Pod) -> tuple[Terminated, datetime] | None:
    status = pod.container(CONTAINER)
    ended = status.state.terminated if status is not None else None
    time = _time(ended.finished_at) if ended is not None else None
    return (ended, time) if ended is not None and time is not None else None


def _time(text: str | None) -> datetime | None:
    try:
        return parse_time(text) if text else None
    except ValueError:
        return None


def _result(name: str, job: Job | None, ended: list[_Ended], now: datetime) -> ComparisonResult | None:
    done = [item for item in ended if item[1].exit_code == 0]
    judged = [item for item in done if not _is_part(item[1])]
    if judged:
        # The first, so that another shard which merged as well is not taken for a further comparison.
        return _of_message(name, *min(judged, key=lambda item: item[2]))
    failed = job.failed if job is not None else None
    if job is not None and failed is None:
        return _lost(job, len(done), now)
    cause = _cause(ended, failed)
    if cause is not None:
        reason, message = _of_exit(cause[1])
        return _failed(name, cause[2], reason, f"{_shard_text(cause[0], job)}{message}")
    time = _time(failed.last_transition_time) if failed is not None else None
    if failed is None or time is None:
        return None
    if failed.reason == reasons.DEADLINE_EXCEEDED:
        step = "raise it, or compare fewer columns or a shorter window"
        if job is not None and job.spec.completions > 1:
            ended_well = f"{job.status.succeeded} of {job.spec.completions} shards had ended"
            step = f"{ended_well}; raise it, or find out why the others did not (pods that cannot be scheduled wait)"
        return _failed(name, time, reasons.DEADLINE_EXCEEDED, f"exceeded spec.activeDeadlineSeconds: {step}")
    return _failed(name, time, reasons.COMPARISON_FAILED, f"Job failed: {clean(failed.message)}")


def _cause(ended: list[_Ended], failed: KubeCondition | None) -> _Ended | None:
    """Return the newest pod that failed by itself, else one that was stopped, unless that was by the deadline."""
    late = failed is not None and failed.reason == reasons.DEADLINE_EXCEEDED
    broken = [item for item in ended if item[1].exit_code != 0 and not (late and item[1].exit_code == INTERRUPTED.code)]
    return max(broken, key=lambda item: (item[1].exit_code != INTERRUPTED.code, item[2]), default=None)


def _shard_text(pod: Pod, job: Job | None) -> str:
    index = pod.metadata.labels.get(JOB_INDEX_KEY, "")
    return f"shard {index}: " if job is not None and job.spec.completions > 1 and index.isdecimal() else ""


def _is_part(ended: Terminated) -> bool:
    """Whether a pod has only counted a part, for another one that gives the verdict."""
    try:
        return isinstance(parse_verdict(ended.message), ShardWritten)
    except BadMessage:
        return False


def _lost(job: Job, parts: int, now: datetime) -> ComparisonResult | None:
    """Return the result of a Job that completed although no pod with a verdict is left, only `parts` of it."""
    complete = condition(job.status.conditions, "Complete")
    time = _time(complete.last_transition_time) if complete is not None and complete.status == "True" else None
    if time is None or now < time + _GRACE:
        return None
    cause = "its pod was deleted before its verdict was read"
    if parts >= job.spec.completions:
        cause = "no shard found what all others had counted: does anything delete objects under spec.report.uri"
    message = f"the Job completed, but {cause}; the comparison is run again"
    return _failed(job.metadata.name, time, reasons.VERDICT_LOST, message)


def _of_message(name: str, pod: Pod, ended: Terminated, time: datetime) -> ComparisonResult:
    try:
        message = parse_verdict(ended.message)
    except BadMessage as error:
        return _failed(name, time, reasons.BAD_TERMINATION_MESSAGE, f"{error}: {reasons.NOT_OURS}")
    if isinstance(message, DriftVerdict) and _is_plausible(message, time):
        run = LastRun(job=name, time=format_time(time), result="Verdict")
        return ComparisonResult(EndedAt(time, name), run, _verdict(name, pod, message, time))
    if isinstance(message, NoVerdict):
        run = LastRun(
            job=name,
            time=format_time(time),
            result="NoVerdict",
            reason=message.reason,
            message=clean(message.message, 1024),
        )
        return ComparisonResult(EndedAt(time, name), run)
    if isinstance(message, Failure):
        return _failed(name, time, *_of_failure(message))
    return _failed(
        name, time, reasons.BAD_TERMINATION_MESSAGE, f"the termination message is not a verdict: {reasons.NOT_OURS}"
    )


def _is_plausible(message: DriftVerdict, time: datetime) -> bool:
    """Whether counts and window are consistent and the counts fit an int64: the message is untrusted."""
    if message.window is not None and not has_ended(message.window, time):
        return False
    rows = max(message.reference_rows, message.current_rows)
    return message.drifted_features <= message.compared_features <= _MOST and rows <= _MOST


def _verdict(name: str, pod: Pod, message: DriftVerdict, time: datetime) -> Verdict:
    annotations = _model_annotations(pod)
    return Verdict(
        id=name,
        time=format_time(time),
        window=message.window,
        run=annotations.run,
        digest=annotations.digest,
        drifted=message.drifted,
        drifted_features=message.drifted_features,
        compared_features=message.compared_features,
        reference_rows=message.reference_rows,
        reference_digest=message.reference_digest,
        current_rows=message.current_rows,
        features=tuple(item.model_copy(update={"name": clean(item.name)}) for item in message.features),
        quality_findings=tuple(clean(line) for line in message.quality_findings),
        degraded=message.degraded,
        likely_degraded=message.likely_degraded,
        unfair=message.unfair,
        prediction_drift=message.prediction_drift,
        multivariate_drift=message.multivariate_drift,
        labelled_rows=message.labelled_rows,
        predicted_rows=message.predicted_rows,
        scores=tuple(_printable(item) for item in message.scores),
        segments=printable(message.segments),
        passed_over=message.passed_over,
        trend=message.trend,
        report_uri=message.report_uri if (message.report_uri or "").startswith("s3://") else None,
    )


def _printable(score: CheckScore) -> CheckScore:
    texts = {name: clean(text) for name in ("metric", "subject", "limit", "why") if (text := getattr(score, name))}
    return score.model_copy(update=texts)


def _model_annotations(pod: Pod) -> _ModelAnnotations:
    written = pod.metadata.annotations
    try:
        return _ModelAnnotations(digest=written.get(MODEL_DIGEST_ANNOTATION), run=written.get(MODEL_RUN_ANNOTATION))
    except ValidationError:
        return _ModelAnnotations()


def _of_exit(ended: Terminated) -> tuple[str, str]:
    """Reason and message of a failed container: the reason follows from its exit alone, the message is quoted."""
    found = judge_agent(ended)
    if found.failure is not None:
        return found.failure.reason, agent_words(ended.message, found.failure)
    if found.kind is ExitKind.OUT_OF_MEMORY:
        return reasons.OUT_OF_MEMORY, "the comparison exceeded its memory limit: raise spec.resources.limits.memory"
    if found.kind is ExitKind.WRONG_ARCHITECTURE:
        return reasons.COMPARISON_FAILED, f"the container cannot start: {WRONG_CPU_HELP}"
    if found.kind in (ExitKind.COMMAND_NOT_FOUND, ExitKind.START_FAILED):
        return reasons.COMPARISON_FAILED, f"the container cannot start: {found.said}; check agent.image"
    return reasons.COMPARISON_FAILED, f"the comparison exited with code {found.exit_code}: see kubectl logs"


def _of_failure(message: Failure) -> tuple[str, str]:
    failure = by_reason(message.reason)
    if failure is None:
        return reasons.COMPARISON_FAILED, f"{clean(message.message)}: see kubectl logs"
    return failure.reason, failure_words(message, failure)


def _failed(name: str, time: datetime, reason: str, message: str) -> ComparisonResult:
    run = LastRun(job=name, time=format_time(time), result="Failed", reason=reason, message=shorten(message))
    return ComparisonResult(EndedAt(time, name), run)
