"""`perennial agent evidence`: collect what storage holds about one model, and write it to standard output."""

import hashlib
import re
from itertools import islice
from typing import TextIO

from pydantic import ValidationError

from perennial.agent.artifact.manifest import CARD, MANIFEST, SIGNATURE
from perennial.agent.auditlog.segments import LogStore
from perennial.agent.shown import write_shown
from perennial.agent.storage.client import join_uri
from perennial.agent.storage.errors import AgentError
from perennial.agent.tables.files import Store, StoredObject, uri_of
from perennial.agent.text import cut
from perennial.agent.trace.audited import Audited, audited
from perennial.agent.trace.version import version_of
from perennial.api.contract.evidence import Evidence, EvidenceConfig, StoredDocument
from perennial.api.contract.trace import TracedVerdict, TracedVersion
from perennial.core.failures import OBJECT_NOT_FOUND

_REPORT = "/report.json"
_MOST_LISTED = 50_000
_DOCUMENT_BYTES = 16 * 2**20
_LONGEST = 500
_MOST_PROBLEMS = 50
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,80}")


def run(config: EvidenceConfig, store: Store, log: LogStore, out: TextIO) -> None:
    """Write what storage holds about a model, in the form of `perennial agent show`."""
    write_shown(evidence(config, store, log).model_dump_json(by_alias=True, exclude_none=True).encode(), out)


def evidence(config: EvidenceConfig, store: Store, log: LogStore) -> Evidence:
    """Return what storage holds about a model. What cannot be read is told among the problems.

    Args:
        config: the model, and where to look.
        store: storage of versions and reports.
        log: the same storage, as the audit log needs it.
    """
    return _Collector(config, store, log).collect()


class _Collector:
    """Reads documents until their size reaches the limit."""

    def __init__(self, config: EvidenceConfig, store: Store, log: LogStore) -> None:
        self._config, self._store, self._log = config, store, log
        self._left = config.most_bytes
        self._documents: list[StoredDocument] = []
        self._problems: list[str] = []

    def collect(self) -> Evidence:
        config = self._config
        version = version_of(config.digest, config.versions, config.outputs, self._store)
        if not isinstance(version, str):
            for name in (MANIFEST, CARD, SIGNATURE):
                self._keep(f"version/{name}", join_uri(version.uri, name))
        audit = self._audit(None if isinstance(version, str) else version)
        verdicts = [found for item in self._reports() if (found := self._verdict(item)) is not None]
        problems = self._problems
        more = [f"{len(problems) - _MOST_PROBLEMS} further problems"] if len(problems) > _MOST_PROBLEMS else []
        return Evidence(
            version=None if isinstance(version, str) else version,
            version_problem=version if isinstance(version, str) else None,
            verdicts=tuple(sorted(verdicts, key=lambda one: one.time, reverse=True)),
            documents=tuple(self._documents),
            audit=audit.report if audit else None,
            audit_lines=audit.lines if audit else 0,
            problems=(*problems[:_MOST_PROBLEMS], *more),
        )

    def _audit(self, version: TracedVersion | None) -> Audited | None:
        """Keep the audit log's lines about the model, and whether the log is as it was written."""
        source = self._config.audit
        if source is None:
            return None
        found = audited(source, self._config, version, self._log, self._left)
        self._problems += [cut(f"audit log: {text}", _LONGEST) for text in found.problems]
        self._add("audit/verification.json", source.uri, found.report.model_dump_json(by_alias=True, exclude_none=True))
        if found.text:
            self._add("audit/lines.jsonl", source.uri, found.text)
        return found

    def _reports(self) -> list[str]:
        """List the reports below all prefixes, the newest first."""
        found: list[tuple[StoredObject, str]] = []
        for prefix in dict.fromkeys(self._config.reports):
            try:
                listed = list(islice(self._store.list(prefix.rstrip("/") + "/"), _MOST_LISTED + 1))
            except AgentError as error:
                self._tell(error)
                continue
            if len(listed) > _MOST_LISTED:
                self._problems.append(f"{prefix} has more than {_MOST_LISTED:,} objects; the others were not looked at")
            found += [(item, uri_of(prefix, item.key)) for item in listed if item.relative.endswith(_REPORT)]
        newest = sorted(found, key=lambda pair: (pair[0].last_modified, pair[1]), reverse=True)
        most = self._config.most_reports
        if len(newest) > most:
            self._problems.append(f"only the newest {most:,} of {len(newest):,} reports were read")
        return list(dict.fromkeys(uri for _, uri in newest[:most]))

    def _verdict(self, uri: str) -> TracedVerdict | None:
        """Return the verdict of a report and keep the report, if it is about the model."""
        text = self._read(uri)
        if text is None:
            return None
        try:
            verdict = TracedVerdict.model_validate_json(text)
        except ValidationError:
            self._problems.append(cut(f"{uri} is no report of this format", _LONGEST))
            return None
        config = self._config
        about = (verdict.namespace, verdict.deployment, verdict.digest)
        if about != (config.namespace, config.deployment, config.digest):
            return None
        name = "-".join(part for part in (verdict.monitor, verdict.job) if _PLAIN.fullmatch(part))
        # Several prefixes may hold reports of the same name; and a name may be unfit for a file.
        suffix = hashlib.sha256(uri.encode()).hexdigest()[:8]
        self._add(f"reports/{name or 'report'}-{suffix}.json", uri, text)
        return verdict.model_copy(update={"uri": uri})

    def _keep(self, name: str, uri: str) -> None:
        text = self._read(uri)
        if text is not None:
            self._add(name, uri, text)

    def _read(self, uri: str) -> str | None:
        try:
            return self._store.get_bytes(uri, _DOCUMENT_BYTES).decode()
        except AgentError as error:
            self._tell(error, missing=f"{uri} does not exist")
        except UnicodeDecodeError:
            self._problems.append(cut(f"{uri} is no text", _LONGEST))
        return None

    def _add(self, name: str, uri: str, text: str) -> None:
        size = len(text.encode())
        if size > self._left:
            self._problems.append(cut(f"{uri} ({size} bytes) is left out: the bundle would be too large", _LONGEST))
            return
        self._left -= size
        self._documents.append(StoredDocument(name=name, uri=uri, text=text))

    def _tell(self, error: AgentError, missing: str = "") -> None:
        gone = missing and error.failure is OBJECT_NOT_FOUND
        self._problems.append(cut(missing if gone else f"{error.failure.reason}: {error.message}", _LONGEST))
