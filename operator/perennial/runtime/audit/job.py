"""The Job that appends a part of the outbox to the audit log: one `perennial agent audit` pod without a token."""

from collections.abc import Sequence

from perennial.api.contract.audit import OUTBOX, AuditAppend, AuditEntry, AuditLock, AuditPosition
from perennial.api.contract.settings import AgentConfigDefaults, Audit
from perennial.core.agent_job import agent_job_spec
from perennial.core.audit import outbox_digest
from perennial.core.kinds import JOB, Raw
from perennial.core.labels import AUDIT_LABEL, COMPONENT_LABEL, MANAGED_BY_LABEL, OUTBOX_DIGEST_ANNOTATION
from perennial.core.podspec import agent_container, storage_volumes
from perennial.core.termination import message_budget
from perennial.runtime.audit.outbox import Batch

CONTAINER = "audit"
_VOLUME = "outbox"
_DEADLINE_SECONDS = 600


def append_job(
    batches: Sequence[Batch],
    expect: AuditPosition | None,
    audit: Audit,
    agent: AgentConfigDefaults,
    namespace: str,
) -> Raw:
    """Build the Job. Its name follows from the oldest batch."""
    labels = {MANAGED_BY_LABEL: "perennial", COMPONENT_LABEL: CONTAINER, AUDIT_LABEL: "append"}
    entries: list[AuditEntry] = [entry for batch in batches for entry in batch.entries]
    pulling = [item.dump() for item in audit.image_pull_secrets]
    sources = [{"configMap": {"name": batch.name}} for batch in batches]
    container = agent_container(
        CONTAINER,
        "audit",
        _config(expect, audit),
        storage=audit.storage,
        agent=agent,
        mounts=[{"name": _VOLUME, "mountPath": OUTBOX, "readOnly": True}],
    )
    return {
        "apiVersion": JOB.api_version,
        "kind": JOB.kind,
        "metadata": {
            "name": f"{batches[0].name}-append",
            "namespace": namespace,
            "labels": labels,
            "annotations": {OUTBOX_DIGEST_ANNOTATION: outbox_digest(entries)},
        },
        "spec": agent_job_spec(
            container,
            metadata={"labels": labels},
            volumes=[{"name": _VOLUME, "projected": {"sources": sources}}, *storage_volumes(audit.storage)],
            options={"imagePullSecrets": pulling} if pulling else {},
            account=audit.service_account_name,
            deadline=_DEADLINE_SECONDS,
        ),
    }


def _config(expect: AuditPosition | None, audit: Audit) -> AuditAppend:
    return AuditAppend(
        storage=audit.storage,
        uri=audit.uri,
        lock=AuditLock(days=audit.lock_days, mode=audit.lock_mode) if audit.lock_days else None,
        expect=expect,
        message_bytes=message_budget(containers=1),
    )


def batches_of(job: Raw) -> tuple[str, ...]:
    """Return the names of the batches that a Job was given."""
    volumes = job["spec"]["template"]["spec"].get("volumes") or ()
    own: Raw = next((item for item in volumes if item.get("name") == _VOLUME), {})
    sources = (own.get("projected") or {}).get("sources") or ()
    return tuple(item["configMap"]["name"] for item in sources if "configMap" in item)
