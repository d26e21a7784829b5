"""The audit log in the evidence about a model: where it is, and what it says."""

from pydantic import ValidationError

from perennial.api.contract.audit import HEAD_CONFIG_MAP, AuditFinding, AuditPosition, AuditReport
from perennial.api.contract.evidence import AuditSource, Evidence
from perennial.cli.cluster import Cluster, Refused
from perennial.cli.errors import CliError
from perennial.cli.lineage.facts import Link, known, unknown
from perennial.core.kinds import CONFIG_MAP

_NOT_FOUND = 404
_FINDINGS = 5


def audit_source(cluster: Cluster, namespace: str) -> AuditSource | str:
    """Find the audit log by what the operator keeps in its namespace; otherwise say why it is not included."""
    named = f"ConfigMap {HEAD_CONFIG_MAP} in namespace {namespace}"
    try:
        data = cluster.get(CONFIG_MAP, HEAD_CONFIG_MAP, namespace).get("data") or {}
        position = AuditPosition(sequence=int(data.get("sequence", "")), hash=data.get("hash", ""))
        return AuditSource(uri=data.get("uri", ""), expect=position)
    except Refused as error:
        if error.status == _NOT_FOUND:
            return (
                f"not included: no audit log is configured, or nothing was written to it yet: there is no {named} "
                "(--operator-namespace names another one)"
            )
        return f"not included: {named} cannot be read: {error}"
    except CliError as error:
        return f"not included: {named} cannot be read: {error}"
    except (ValidationError, ValueError):
        return f"not included: {named} is not as the operator writes it"


def audit_link(found: Evidence, why: str) -> Link:
    """What the log says about the model, and whether it is as it was written.

    Args:
        found: what was read from storage.
        why: why no log was read.
    """
    report = found.audit
    if report is None:
        return Link("audit log", (unknown("audit log", why or "not included: no audit log is configured"),))
    lines = f"{found.audit_lines}, in audit/lines.jsonl" if found.audit_lines else "0"
    if report.result == "NotJudged":
        return Link("audit log", (unknown("chain", f"{report.uri} was not judged: {'; '.join(report.not_checked)}"),))
    return Link(
        "audit log",
        (
            known("chain", _chain(report), f"{report.uri}, audit/verification.json"),
            *(
                known(item.problem, f"{item.segment or ''} {item.message}".strip(), report.uri)
                for item in _first(report)
            ),
            *(unknown("not checked", text) for text in report.not_checked),
            known("lines about the model", lines, report.uri),
        ),
    )


def _chain(report: AuditReport) -> str:
    end = f", the last is {report.last.sequence} with hash {report.last.hash}" if report.last else ""
    problems = len(report.findings) + report.more_findings
    broken = f"; {problems} problems" if problems else ""
    return f"{report.result}: {report.lines} lines in {report.segments} segments{end}{broken}"


def _first(report: AuditReport) -> tuple[AuditFinding, ...]:
    return report.findings[:_FINDINGS]
