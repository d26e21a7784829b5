"""The loop as a picture: one stage each for data, run, artifact, candidate, stable revision and verdict."""

from dataclasses import dataclass
from datetime import datetime

from perennial.api.driftmonitor.resource import DriftMonitor
from perennial.api.modeldeployment.revisions import Candidate
from perennial.api.trainingjob.status import CurrentRun, RunRecord
from perennial.cli.dashboard.loops import Loop
from perennial.cli.loop import verdict_findings, verdict_text
from perennial.cli.nodes import State
from perennial.cli.words import ago, joined, pairs, span

_DIGITS = 12

Facts = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Stage:
    """One box of the picture. `active` marks what is under way now; `exists` is false for an empty box."""

    title: str
    state: State
    word: str
    headline: str
    facts: Facts = ()
    active: bool = False
    exists: bool = True


@dataclass(frozen=True)
class Return:
    """The way back from the verdict to the next run."""

    text: str
    active: bool = False


def stages(loop: Loop, now: datetime) -> tuple[Stage, ...]:
    """The boxes in the order in which a model passes them."""
    return (_data(loop), _run(loop, now), _artifact(loop, now), _candidate(loop), _stable(loop, now), _watch(loop, now))


def _none(title: str, text: str) -> Stage:
    return Stage(title, "unknown", "None", text, exists=False)


def _data(loop: Loop) -> Stage:
    if loop.job is None:
        return _none("Data", "no TrainingJob in this loop")
    last = next((run for run in loop.job.status.runs if run.inputs), None)
    if last is None or not last.inputs:
        return _none("Data", "no run has pulled inputs yet")
    facts = tuple((item.name, digits(item.digest)) for item in last.inputs[:3])
    more = len(last.inputs) - len(facts)
    return Stage(
        "Data",
        "ok",
        "Recorded",
        f"{len(last.inputs)} input{'s' if len(last.inputs) > 1 else ''} of {last.name}",
        (*facts, *((("more", f"{more}"),) if more else ())),
    )


def _run(loop: Loop, now: datetime) -> Stage:
    if loop.job is None:
        return _none("Run", "no TrainingJob in this loop")
    status = loop.job.status
    if status.current_run is not None:
        return _running(status.current_run, status.phase or "Running", now)
    if not status.runs:
        return _none("Run", "no run yet")
    return _ended(status.runs[0], now)


def _running(run: CurrentRun, phase: str, now: datetime) -> Stage:
    progress = run.progress
    facts = (
        ("cause", joined(run.trigger.kind, run.trigger.monitor or "")),
        ("started", ago(run.start_time, now)),
        ("attempt", str(run.attempt + 1)),
        ("step", f"{progress.step}{f' of {progress.total}' if progress.total else ''}" if progress else ""),
        ("left", f"about {span(progress.eta_seconds)}" if progress and progress.eta_seconds is not None else ""),
        ("checkpoint", ago(run.checkpoint.time, now) if run.checkpoint and run.checkpoint.time else ""),
        ("before", run.last_failure or ""),
    )
    return Stage("Run", "working", phase, run.name, _told(facts), active=True)


def _ended(run: RunRecord, now: datetime) -> Stage:
    well = run.result == "Succeeded"
    facts = (
        ("cause", joined(run.trigger.kind, run.trigger.monitor or "")),
        ("ended", ago(run.completion_time, now)),
        ("why", "" if well else run.message or run.reason),
    )
    return Stage("Run", "ok" if well else "failed", run.result, run.name, _told(facts))


def _artifact(loop: Loop, now: datetime) -> Stage:
    if loop.job is None:
        deployment = loop.deployment
        source = deployment.spec.model.uri if deployment is not None else None
        return Stage("Artifact", "ok", "From outside", source) if source else _none("Artifact", "none known")
    artifact = loop.job.status.artifact
    if artifact is None:
        return _none("Artifact", "nothing published yet")
    facts = (("run", artifact.run), ("published", ago(artifact.time, now)), ("metrics", pairs(artifact.metrics)))
    return Stage("Artifact", "ok", "Published", digits(artifact.digest), _told(facts))


def _candidate(loop: Loop) -> Stage:
    if loop.deployment is None:
        return _none("Candidate", "no ModelDeployment follows it")
    candidate = loop.deployment.status.candidate
    if candidate is None:
        return _none("Candidate", "no rollout is under way")
    state, word = candidate_state(candidate)
    facts = (
        ("model", candidate.run or digits(candidate.digest)),
        ("traffic", f"{candidate.weight} % of requests" if candidate.weight is not None else ""),
        ("gates", gates_passed(candidate)),
    )
    return Stage("Candidate", state, word, candidate.name, _told(facts), active=state != "failed")


def candidate_state(candidate: Candidate) -> tuple[State, str]:
    """State of a rollout with its word."""
    if candidate.phase == "Failed":
        return "failed", "Failed"
    return ("waiting", "Waits for a person") if candidate.ready_since is not None else ("working", "Rolling out")


def gates_passed(candidate: Candidate) -> str:
    """`2 of 3 passed`; empty without gates."""
    gates = candidate.gates or ()
    passed = sum(gate.verdict == "Passed" for gate in gates)
    return f"{passed} of {len(gates)} passed" if gates else ""


def _stable(loop: Loop, now: datetime) -> Stage:
    if loop.deployment is None:
        return _none("Stable", "no ModelDeployment follows it")
    status = loop.deployment.status
    if status.stable is None:
        return _none("Stable", "nothing serves yet")
    serves = status.ready_replicas > 0
    facts = (
        ("model", status.stable.run or digits(status.stable.digest)),
        ("pods", f"{status.ready_replicas} of {status.replicas} ready"),
        ("since", ago(status.stable.since, now)),
    )
    state: State = "ok" if serves else "failed"
    return Stage("Stable", state, "Serving" if serves else "No ready pod", status.stable.name, _told(facts))


def _watch(loop: Loop, now: datetime) -> Stage:
    if not loop.monitors:
        return _none("Verdict", "no DriftMonitor watches it")
    judged = sorted((item for item in loop.monitors if item.status.last_verdict), key=_found_first)
    if not judged or judged[0].status.last_verdict is None:
        return _none("Verdict", "not judged yet")
    monitor, verdict = judged[0], judged[0].status.last_verdict
    found = bool(verdict_findings(verdict))
    others = len(loop.monitors) - 1
    facts = (
        ("judged", ago(verdict.time, now)),
        ("rows", f"{verdict.current_rows}"),
        ("about", verdict.run or digits(verdict.digest)),
        ("others", f"{others} more monitor{'s' if others > 1 else ''}" if others else ""),
    )
    state: State = "failed" if found else "ok"
    word = "Finding" if found else "No finding"
    return Stage("Verdict", state, word, f"{monitor.metadata.name}: {verdict_text(verdict)}", _told(facts))


def _found_first(monitor: DriftMonitor) -> tuple[bool, str]:
    verdict = monitor.status.last_verdict
    return (not (verdict and verdict_findings(verdict)), monitor.metadata.name)


def way_back(loop: Loop, now: datetime) -> Return:
    """What the monitors have asked for, and whether that run is under way."""
    current = loop.job.status.current_run if loop.job else None
    if current is not None and current.trigger.kind == "Drift":
        return Return(f"{current.trigger.monitor or 'A monitor'} asked for {current.name}, which is under way", True)
    asked = [(item.status.retrain, item.metadata.name) for item in loop.monitors if item.status.retrain is not None]
    if asked:
        request, name = max(asked, key=lambda item: item[0].time if item[0] else "")
        return Return(f"{name} asked for a retrain {ago(request.time, now) if request else ''}")
    may = any(item.spec.on_drift and item.spec.on_drift.retrain for item in loop.monitors)
    return Return("No retrain was asked for" if may else "No monitor of this model may ask for a retrain")


def digits(digest: str | None) -> str:
    """First twelve digits of a digest, which name its version in the storage; empty if there is none."""
    return (digest or "").removeprefix("sha256:")[:_DIGITS]


def _told(facts: Facts) -> Facts:
    return tuple((name, text) for name, text in facts if text)
