"""The chain behind one prediction as links with facts: pure functions of what was found. What is unknown says why."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from perennial.api.contract.trace import Traced, TracedRequest, TracedVersion
from perennial.api.modeldeployment.revisions import Candidate, HistoryEntry
from perennial.api.trainingjob.status import RunRecord
from perennial.cli.lineage.facts import Fact, Link, known, unknown
from perennial.cli.lineage.trace import Surroundings
from perennial.cli.lineage.verdict_facts import verdict_links
from perennial.core.names import child_name
from perennial.core.times import moment_of

_CAPTURE = "captured request"
_MANIFEST = "manifest of the version"
_STATUS = "status"
"""Of a resource: the operator's record, which the API server keeps, not a signed one."""


def chain(traced: Traced, around: Surroundings) -> tuple[Link, ...]:
    """Follow a prediction that was found, from its request to the verdicts about its model."""
    request = traced.request
    if request is None:
        return ()
    entries = _history(request, around)
    run = run_of(request.digest, entries, around)
    why = traced.version_problem or ""
    return (
        _request_link(request, traced.others),
        _model_link(request, traced, around),
        training_link(traced.version, why, run),
        data_link(traced.version, why, run),
        *_rollout_links(request, entries, around),
        *verdict_links(request, traced, around),
    )


def _request_link(request: TracedRequest, others: int) -> Link:
    same = f"{others} older with the same id in this file, which are not shown" if others else "none in this file"
    return Link(
        "request",
        (
            known("time", request.time, _CAPTURE),
            known("id", request.id, _CAPTURE),
            known("header id", request.request_id, _CAPTURE, "the request had none, or capture.redact names it"),
            known("call", f"{request.method} {request.path}".strip(), _CAPTURE),
            known("answer", f"HTTP {request.status} in {request.latency_ms:g} ms", _CAPTURE),
            _body("request body", captured=request.has_request, truncated=request.request_truncated),
            _body("response body", captured=request.has_response, truncated=request.response_truncated),
            known("further requests", same, _CAPTURE),
        ),
    )


def _body(name: str, *, captured: bool, truncated: bool) -> Fact:
    why = "longer than capture.maxBodyBytes" if truncated else "it was compressed, no JSON, or redacted as a whole"
    return known(name, "captured; --show-payload prints it" if captured else None, _CAPTURE, why)


def _model_link(request: TracedRequest, traced: Traced, around: Surroundings) -> Link:
    version = traced.version
    why = traced.version_problem or ""
    return Link(
        "model",
        (
            known("revision", child_name(request.deployment, request.revision), _CAPTURE),
            known("digest", request.digest, _CAPTURE),
            known("version", version.uri if version else _image_of(request, around), _MANIFEST, why),
            known("content", f"{version.files} files, {version.bytes} bytes" if version else None, _MANIFEST, why),
            known("published", version.created if version else None, _MANIFEST, why),
        ),
    )


def _image_of(request: TracedRequest, around: Surroundings) -> str | None:
    """The OCI image of the model, which has no manifest of ours."""
    status = around.resource.status
    revisions = (status.stable, status.candidate, status.previous)
    found = (item.uri for item in revisions if item is not None and item.digest == request.digest)
    return next((uri for uri in found if uri.startswith("oci://")), None)


def run_of(digest: str, entries: Sequence[HistoryEntry], around: Surroundings) -> RunRecord | None:
    """The run that published the model, by the digest of its artifact.

    Several runs may publish the same content: the one that the rollout names is meant, else the first.
    """
    runs = [run for job in around.training_jobs for run in job.status.runs if run.artifact_digest == digest]
    entry = next((item for item in entries if item.run is not None), None)
    named = [run for run in runs if entry is not None and run.name == entry.run]
    return next(iter(named or sorted(runs, key=lambda run: run.completion_time)), None)


_NO_RUN = "no TrainingJob of the namespace has a run with this model in status.runs; history.limits keeps a few runs"


def training_link(version: TracedVersion | None, why: str, run: RunRecord | None) -> Link:
    """Tell how a model was made; `why` its manifest is not known, if it is not."""

    def stated(name: str, value: str | None, missing: str) -> Fact:
        return known(name, value, _MANIFEST, missing if version else why)

    source = version.source if version else None
    return Link(
        "training",
        (
            stated("run", f"{version.namespace}/{version.run}" if version else None, ""),
            *_other_run(version, run),
            stated("chain", version.chain if version else None, "the run is its own beginning"),
            stated("started by", version.trigger if version else None, "the manifest does not say"),
            stated("image", version.image if version else None, "the manifest does not say"),
            known("image digest", run.image_digest if run else None, _STATUS, _NO_RUN if run is None else _NO_DIGEST),
            stated(
                "code",
                f"{source.repository} at {source.commit}" if source else None,
                "spec.source of the run was unset",
            ),
            stated("parameters", _pairs(version.parameters) if version else None, "none were set"),
            stated("seed", str(version.seed) if version and version.seed is not None else None, "none was set"),
            stated("metrics", _pairs(version.metrics) if version else None, "the run wrote no metrics.json"),
            known("result", f"{run.result}, {run.completion_time}" if run else None, _STATUS, _NO_RUN),
        ),
    )


_NO_DIGEST = "the kubelet did not report it before the pod was gone"


def _other_run(version: TracedVersion | None, run: RunRecord | None) -> tuple[Fact, ...]:
    """A version keeps the manifest of the first run with this content; a later run may be the one that was served."""
    if version is None or run is None or run.name == version.run:
        return ()
    return (known("published again by", run.name, _STATUS),)


def _pairs(values: dict[str, str]) -> str | None:
    return " ".join(f"{name}={value}" for name, value in sorted(values.items())) or None


def data_link(version: TracedVersion | None, why: str, run: RunRecord | None) -> Link:
    """Tell what a model was trained on."""
    if version is not None:
        found = [
            known(item.name, f"{item.uri} {item.digest} ({item.files} files, {item.bytes} bytes)", _MANIFEST)
            for item in version.inputs
        ]
        return Link("training data", tuple(found) or (unknown("inputs", "the run had none that the agent fetched"),))
    inputs = (run.inputs or ()) if run is not None else ()
    told = tuple(known(item.name, f"{item.uri} {item.digest}", _STATUS) for item in inputs)
    return Link("training data", told or (unknown("inputs", why or _NO_RUN),))


# Rollouts.


def _history(request: TracedRequest, around: Surroundings) -> tuple[HistoryEntry, ...]:
    """The ended rollouts of the revision that answered, newest first."""
    name = child_name(request.deployment, request.revision)
    return tuple(item for item in around.resource.status.history if item.name == name and item.digest == request.digest)


def _rollout_links(request: TracedRequest, entries: Sequence[HistoryEntry], around: Surroundings) -> Iterable[Link]:
    candidate = around.resource.status.candidate
    name = child_name(request.deployment, request.revision)
    if candidate is not None and candidate.name == name:
        yield candidate_link(candidate)
    for entry in entries:
        role = known("role at the request", _role(entry, request), _STATUS, "the rollout did not end by promotion")
        yield Link("rollout", (*entry_facts(entry), role))
    if not entries and (candidate is None or candidate.name != name):
        stable = around.resource.status.stable
        serves = stable is not None and stable.name == name
        since = f"it serves since {stable.since}; " if serves and stable is not None else ""
        why = f"{since}status.history, which keeps the last 10 rollouts, has none of this revision"
        yield Link("rollout", (unknown("result", why), unknown("approval", why), unknown("gates", why)))


def candidate_link(candidate: Candidate) -> Link:
    """Tell how far the rollout is that is under way or has failed."""
    gates = tuple(
        known(f"gate {gate.name}", f"{gate.verdict}, {gate.time}: {gate.message}", _STATUS)
        for gate in candidate.gates or ()
    )
    phase = known("phase", f"{candidate.phase} since {candidate.since}", _STATUS)
    return Link("rollout under way", (phase, *(gates or (unknown("gates", "there is none, or none is judged yet"),))))


def entry_facts(entry: HistoryEntry) -> tuple[Fact, ...]:
    """Tell how a rollout has ended, and who approved it."""
    approval = entry.approval
    seen = f", having seen the gates {approval.digest}" if approval is not None and approval.digest else ""
    by = f"{', '.join(approval.users)}, {approval.time}{seen}" if approval is not None else None
    reason = f" ({entry.reason})" if entry.reason else ""
    return (
        known("result", f"{entry.result} {entry.time}{reason}", _STATUS),
        known("run", entry.run, _STATUS, "the model was not published by a run that the rollout names"),
        known("approved by", by, _STATUS, "no approval is recorded: none was asked for, or it was not promoted"),
        *_gate_facts(entry),
    )


def _gate_facts(entry: HistoryEntry) -> tuple[Fact, ...]:
    facts = tuple(
        known(
            f"gate {gate.name}", f"{gate.verdict}, {gate.time}: {_pairs(gate.figures or {}) or 'no figures'}", _STATUS
        )
        for gate in entry.gates or ()
    )
    return facts or (unknown("gates", "no verdict is recorded: there was no gate, or the rollout was not judged"),)


def _role(entry: HistoryEntry, request: TracedRequest) -> str | None:
    """Whether the revision answered as the promoted one or before that, as a canary or at its start."""
    promoted, asked = moment_of(entry.time), moment_of(request.time)
    if entry.result != "Promoted" or promoted is None or asked is None:
        return None
    return "promoted" if asked >= promoted else "candidate, with a canary's share of the requests or a shadow's copies"


def as_json(traced: Traced, links: Iterable[Link]) -> dict[str, Any]:
    """JSON form: the links with the source of each fact, and the document of the agent."""
    return {"links": [link.dump() for link in links], "found": traced.dump()}


def payload_lines(request: TracedRequest) -> list[str]:
    """The bodies, one line each."""
    return [
        f"{name}: {json.dumps(body) if body is not None else 'not captured'}"
        for name, body in (("request", request.request), ("response", request.response))
    ]
