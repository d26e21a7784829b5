"""`perennial agent audit`: runs one of append, verify and show."""

import logging
from typing import TextIO

from perennial.agent.audit.append import append
from perennial.agent.auditlog.entries import as_json, as_text, lines_of
from perennial.agent.auditlog.segments import LogStore
from perennial.agent.auditlog.verify import verify
from perennial.agent.storage.errors import AgentError
from perennial.agent.text import count, cut
from perennial.api.contract.audit import AuditAppend, AuditReport, AuditShow, AuditVerify
from perennial.api.contract.messages import AuditAppended
from perennial.core.failures import AUDIT_BROKEN

log = logging.getLogger(__name__)


def run(config: AuditAppend | AuditVerify | AuditShow, store: LogStore, out: TextIO) -> AuditAppended | None:
    """Run a command; what a person is to read is written to `out`.

    Raises:
        AgentError: AuditLogBroken; or as in `core.failures`.
    """
    if isinstance(config, AuditAppend):
        done = append(config, store)
        out.write(f"{done.model_dump_json(by_alias=True)}\n")
        return done
    if isinstance(config, AuditShow):
        write = as_json if config.output == "json" else as_text
        out.writelines(f"{write(line)}\n" for line in lines_of(config, store, log.warning))
        return None
    _verify(config, store, out)
    return None


def _verify(config: AuditVerify, store: LogStore, out: TextIO) -> None:
    try:
        report = verify(config, store)
    except AgentError as error:
        unread = AuditReport(result="NotJudged", uri=config.uri, not_checked=(cut(error.message, 512),))
        _write(unread, config, out)
        raise
    _write(report, config, out)
    if report.findings:
        one = report.findings[0]
        raise AgentError(AUDIT_BROKEN, f"{config.uri}: {_place(one.segment, one.line)}{one.message}")


def _write(report: AuditReport, config: AuditVerify, out: TextIO) -> None:
    if config.output == "json":
        out.write(f"{report.model_dump_json(by_alias=True, exclude_none=True)}\n")
    else:
        out.write(report_text(report))


def report_text(report: AuditReport) -> str:
    """Return a report for a person."""
    lines = [f"{report.result}: {report.uri}"]
    if report.result != "NotJudged":
        lines.append(f"{count(report.lines, 'line')} in {count(report.segments, 'segment')} read")
    if report.last is not None:
        lines.append(f"the last line is {report.last.sequence} with hash {report.last.hash}")
    lines += [f"{one.problem}: {_place(one.segment, one.line)}{one.message}" for one in report.findings]
    if report.more_findings:
        lines.append(f"and {count(report.more_findings, 'more problem')}")
    lines += [f"not checked: {text}" for text in report.not_checked]
    return "".join(f"{line}\n" for line in lines)


def _place(segment: str | None, line: int | None) -> str:
    if segment is None:
        return ""
    return f"{segment}: " if not line else f"{segment} line {line}: "
