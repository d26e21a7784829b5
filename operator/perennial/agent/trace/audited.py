"""Reads what the audit log says about one model, and whether the log is as it was written."""

from dataclasses import dataclass
from typing import Any

from perennial.agent.auditlog.entries import lines_of
from perennial.agent.auditlog.lines import Line
from perennial.agent.auditlog.segments import LogStore
from perennial.agent.auditlog.verify import verify
from perennial.agent.storage.errors import AgentError
from perennial.agent.text import cut
from perennial.api.contract.audit import AuditReport, AuditShow, AuditVerify
from perennial.api.contract.evidence import AuditSource, EvidenceConfig
from perennial.api.contract.trace import TracedVersion
from perennial.core.audit import canonical

_LONGEST = 512


@dataclass(frozen=True)
class Audited:
    """What the log says.

    Attributes:
        report: whether the whole log is as it was written.
        lines: number of lines about the model.
        text: these lines as they were written, one JSON object each, oldest first.
        problems: what could not be read or was left out.
    """

    report: AuditReport
    lines: int = 0
    text: str = ""
    problems: tuple[str, ...] = ()


def audited(
    source: AuditSource, config: EvidenceConfig, version: TracedVersion | None, log: LogStore, limit: int
) -> Audited:
    """Read the log.

    Args:
        source: where it is.
        config: names the model.
        version: its manifest, which names the run that made it; None: lines of that run without a digest are missed.
        log: storage of the log.
        limit: most bytes of the lines.
    """
    problems: list[str] = []
    try:
        report = verify(AuditVerify(uri=source.uri, expect=source.expect), log)
        found, size = [], 0
        for line in lines_of(AuditShow(uri=source.uri), log, problems.append):
            if _is_about(line.entry or {}, config, version):
                found.append(_written(line))
                size += len(found[-1].encode())
                if size > limit:
                    problems.append(
                        f"the audit log's lines about the model are left out: they have over {limit:,} bytes"
                    )
                    return Audited(report, problems=tuple(problems))
    except AgentError as error:
        why = cut(f"{error.failure.reason}: {error.message}", _LONGEST)
        return Audited(AuditReport(result="NotJudged", uri=source.uri, not_checked=(why,)), problems=tuple(problems))
    return Audited(report, len(found), "".join(found), tuple(problems))


def _is_about(entry: dict[str, Any], config: EvidenceConfig, version: TracedVersion | None) -> bool:
    """Whether an entry names the model, or the run that made it: what a run started with, it told without a digest."""
    if entry.get("modelDigest") == config.digest:
        return True
    names = tuple(entry.get(name) for name in ("kind", "namespace", "name", "run"))
    return version is not None and names == ("TrainingJob", version.namespace, version.training_job, version.run)


def _written(line: Line) -> str:
    """Return a line as it is in its segment, so that its hash can be computed again."""
    position = line.position
    document = {"sequence": position.sequence, "hash": position.hash, "previous": line.previous, "entry": line.entry}
    return canonical(document).decode() + "\n"
