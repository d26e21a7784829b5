"""Collects the evidence about one model: what the agent reads from storage, and what resources record."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from pydantic import ValidationError

from perennial.api.common.pod import Storage
from perennial.api.contract.evidence import AuditSource, Evidence, EvidenceConfig
from perennial.api.modeldeployment.revisions import HistoryEntry
from perennial.cli.agent_pod import run_errand
from perennial.cli.cluster import Cluster
from perennial.cli.errors import CliError
from perennial.cli.lineage.audit import audit_link
from perennial.cli.lineage.chain import candidate_link, data_link, entry_facts, run_of, training_link
from perennial.cli.lineage.facts import Fact, Link, known, unknown
from perennial.cli.lineage.trace import Surroundings, errand_of, outputs_of, reports_of, versions_of
from perennial.cli.lineage.verdict_facts import told

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_MANIFEST, _STATUS = "manifest of the version", "status"


def evidence_config(around: Surroundings, digest: str | None, audit: AuditSource | None) -> EvidenceConfig:
    """Say which model it is about: that of the stable revision, if none is named.

    Args:
        around: the ModelDeployment and what belongs to it.
        digest: of the model.
        audit: the audit log; None: none is known.

    Raises:
        CliError: no model serves, or the digest is none.
    """
    resource = around.resource
    stable = resource.status.stable
    chosen = digest or (stable.digest if stable is not None else None)
    if chosen is None:
        raise CliError(f"{resource.metadata.name} serves no model: name one with --model")
    if not _DIGEST.fullmatch(chosen):
        raise CliError(f"{chosen} is no digest: it is sha256: and 64 hexadecimal digits, as in status.history")
    return EvidenceConfig(
        storage=resource.spec.storage or Storage(),
        digest=chosen,
        namespace=resource.metadata.namespace,
        deployment=resource.metadata.name,
        versions=versions_of(around),
        outputs=outputs_of(around),
        reports=reports_of(around),
        audit=audit,
    )


def evidence_by_pod(cluster: Cluster, around: Surroundings, config: EvidenceConfig) -> Evidence:
    """Let a pod with the deployment's own storage settings read.

    Raises:
        CliError: it could not be created, or did not end well in time.
    """
    try:
        return Evidence.model_validate_json(run_errand(cluster, errand_of(around, "evidence", config)))
    except ValidationError as error:
        raise CliError("the agent answered in another format: use the plugin of the operator's release") from error


def evidence_by_own_credentials(config: EvidenceConfig) -> Evidence:
    """Read with the credentials that boto3 finds on this machine.

    Raises:
        CliError: the storage cannot be opened from here.
    """
    # Imported late: boto3 takes several hundred milliseconds.
    from perennial.agent.storage.errors import AgentError
    from perennial.agent.storage.opening import open_storage
    from perennial.agent.trace.evidence import evidence

    try:
        store = open_storage(config.storage)
        return evidence(config, store, store)
    except AgentError as error:
        raise CliError(f"{error.message}; {error.failure.next_step}") from error


def evidence_links(found: Evidence, around: Surroundings, digest: str, no_audit: str = "") -> tuple[Link, ...]:
    """What is known about the model, and what is not.

    Args:
        found: what was read from storage.
        around: the ModelDeployment and what belongs to it.
        digest: of the model.
        no_audit: why no audit log was read.
    """
    entries = tuple(item for item in around.resource.status.history if item.digest == digest)
    run = run_of(digest, entries, around)
    why = found.version_problem or ""
    return (
        _model(found, digest, why),
        training_link(found.version, why, run),
        data_link(found.version, why, run),
        _periods(around, digest),
        *_rollouts(around, entries, digest),
        _verdicts(found, around),
        audit_link(found, no_audit),
        _missing(found),
    )


def _model(found: Evidence, digest: str, why: str) -> Link:
    version = found.version
    names = {item.name for item in found.documents}
    signed = "model.sig is in this bundle; it was not verified" if "version/model.sig" in names else None
    return Link(
        "model",
        (
            known("digest", digest, "the question"),
            known("version", version.uri if version else None, _MANIFEST, why),
            known("content", f"{version.files} files, {version.bytes} bytes" if version else None, _MANIFEST, why),
            known("published", version.created if version else None, _MANIFEST, why),
            known("signature", signed, "storage", "no model.sig could be read beside the manifest"),
        ),
    )


def _periods(around: Surroundings, digest: str) -> Link:
    """From each promotion of the model to the next event that is recorded."""
    stable = around.resource.status.stable
    ended = sorted(around.resource.status.history, key=lambda item: item.time)
    facts: list[Fact] = []
    for number, entry in enumerate(ended):
        if entry.digest == digest and entry.result == "Promoted":
            until = _end(entry, ended[number + 1 :])
            now = "now" if until is None and stable is not None and stable.name == entry.name else None
            facts.append(known("served", f"{entry.time} to {until or now or 'a time that is not recorded'}", _STATUS))
    if not facts and stable is not None and stable.digest == digest:
        facts.append(known("served", f"{stable.since} to now", _STATUS))
    why = "status.history, which keeps the last ten rollouts, has no promotion of this model"
    return Link("period of use", tuple(facts) or (unknown("served", why),))


def _end(entry: HistoryEntry, later: Sequence[HistoryEntry]) -> str | None:
    """When a promoted revision stopped serving: another was promoted, or it was rolled back."""
    ends = (
        item.time
        for item in later
        if item.result == "Promoted" or (item.result == "RolledBack" and item.name == entry.name)
    )
    return next(ends, None)


def _rollouts(around: Surroundings, entries: Sequence[HistoryEntry], digest: str) -> Iterable[Link]:
    candidate = around.resource.status.candidate
    if candidate is not None and candidate.digest == digest:
        yield candidate_link(candidate)
    for entry in entries:
        yield Link(f"rollout of {entry.name}", entry_facts(entry))
    if not entries:
        why = "status.history, which keeps the last ten rollouts, has none of this model"
        yield Link("rollouts", (unknown("result", why), unknown("approval", why), unknown("gates", why)))


def _verdicts(found: Evidence, around: Surroundings) -> Link:
    facts = [known(verdict.monitor, told(verdict), f"report {verdict.uri}") for verdict in found.verdicts]
    facts += [
        unknown(item.metadata.name, f"its reports lie in other storage: kubectl perennial report {item.metadata.name}")
        for item in around.unreadable
    ]
    facts += [
        unknown(item.metadata.name, "the monitor writes no reports (spec.report is unset)")
        for item in around.monitors
        if item.spec.report is None
    ]
    return Link("verdicts", tuple(facts) or (unknown("verdicts", "no report about this model was found"),))


def _missing(found: Evidence) -> Link:
    standing = (
        "who changed a spec, paused or aborted: the API server's audit log may have it",
        "rollouts before the last ten, and the explanations of their gates beside verdicts and figures",
        "proof that status was not altered: it is not signed, and only the lines of an audit log are chained by hashes",
        "the model's files and the captured requests: they stay in storage",
    )
    problems = (unknown("not read", problem) for problem in found.problems)
    return Link("not in this bundle", (*problems, *(unknown("not recorded or not copied", text) for text in standing)))


def records(around: Surroundings, digest: str) -> dict[str, Any]:
    """What the resources say about the model, as they say it."""
    status = around.resource.status
    roles = {"stable": status.stable, "candidate": status.candidate, "previous": status.previous}
    runs = (run for job in around.training_jobs for run in job.status.runs if run.artifact_digest == digest)
    return {
        "roles": {name: item.dump() for name, item in roles.items() if item is not None and item.digest == digest},
        "history": [item.dump() for item in status.history if item.digest == digest],
        "runs": [run.dump() for run in runs],
        "lastVerdicts": [
            {"monitor": item.metadata.name, **item.status.last_verdict.dump()}
            for item in around.monitors
            if item.status.last_verdict is not None and item.status.last_verdict.digest == digest
        ],
    }
