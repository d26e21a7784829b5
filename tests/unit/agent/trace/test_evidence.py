"""`perennial agent evidence`: what storage holds about one model."""

import hashlib
import io
import json

import pytest

from perennial.agent.audit.append import append
from perennial.agent.storage.errors import AgentError
from perennial.agent.trace.evidence import evidence, run
from perennial.api.contract.audit import AuditAppend, AuditPosition
from perennial.api.contract.evidence import AuditSource, Evidence, EvidenceConfig
from perennial.cli.agent_pod import decoded
from perennial.core.audit import canonical, encode_outbox
from perennial.core.failures import ACCESS_DENIED, OBJECT_NOT_FOUND
from tests.unit.agent.audit.support import URI, MemoryLog, at
from tests.unit.agent.audit.support import entry as fact
from tests.unit.agent.drift.store import NOW, MemoryStore
from tests.unit.agent.trace.test_command import (
    HOUR,
    MODEL,
    OUTPUT,
    REPORTS,
    VERSION,
    Refusing,
    TimedStore,
    document,
    report,
)

CARD = b"# churn\n\nIntended use: none.\n"


def config_for(**changes):
    given = {"outputs": (OUTPUT,), "reports": (REPORTS,), **changes}
    return EvidenceConfig(digest=MODEL.digest, namespace="team", deployment="churn", **given)


def stored(**more):
    return {
        f"{VERSION}manifest.json": document(MODEL),
        f"{VERSION}README.md": CARD,
        f"{VERSION}model.sig": b"{}",
        **more,
    }


class Real(TimedStore):
    """Storage that says what is missing as the real one does."""

    def get_bytes(self, uri, limit):
        if uri not in self.objects:
            raise AgentError(OBJECT_NOT_FOUND, f"{uri}: the storage responded 404")
        return super().get_bytes(uri, limit)


def collected(config, store, log=None):
    return evidence(config, store, log or MemoryLog())


def names(found):
    return [item.name for item in found.documents]


def test_the_documents_of_the_version_are_kept_as_they_are():
    found = collected(config_for(), MemoryStore(stored()))

    assert names(found) == ["version/manifest.json", "version/README.md", "version/model.sig"]
    assert found.documents[0].text.encode() == document(MODEL)
    assert found.documents[1].text.encode() == CARD
    assert (found.version.uri, found.problems) == (VERSION, ())


def test_only_reports_about_this_model_and_deployment_are_kept_newest_first():
    reports = {
        **report("w-1", NOW - HOUR),
        **report("w-2", NOW),
        **report("w-3", NOW, digest="sha256:" + "b" * 64),
        **report("w-4", NOW, deployment="other"),
    }
    found = collected(config_for(), TimedStore(stored(**reports)))

    assert [verdict.job for verdict in found.verdicts] == ["w-2", "w-1"]
    kept = {item.uri: item.text.encode() for item in found.documents if item.name.startswith("reports/")}
    assert kept == {uri: data for uri, data in reports.items() if "w-1" in uri or "w-2" in uri}


def test_what_is_left_out_or_cannot_be_read_is_told():
    reports = {**report("w-1", NOW - HOUR), **report("w-2", NOW), f"{REPORTS}x/report.json": b"\xff"}
    store = Real(reports)
    found = collected(config_for(most_reports=2), store)
    assert "only the newest 2 of 3 reports were read" in found.problems
    assert found.version is None
    assert found.version_problem == f"{VERSION} has no manifest.json"

    store = TimedStore({**stored(), **report("w-1", NOW)})
    tight = collected(config_for(most_bytes=len(document(MODEL)) + len(CARD) + 2), store)
    assert names(tight) == ["version/manifest.json", "version/README.md", "version/model.sig"]
    assert "the bundle would be too large" in tight.problems[0]
    assert [verdict.job for verdict in tight.verdicts] == ["w-1"]


def test_refused_reports_do_not_take_the_rest_with_them():
    found = collected(config_for(), Refusing(stored(**report("w-1", NOW)), ACCESS_DENIED, "reports"))
    assert len(found.documents) == 3
    assert found.problems == (f"ArtifactAccessDenied: {REPORTS}w-1/report.json: refused",)


def test_a_name_in_a_report_is_no_path_in_the_bundle():
    found = collected(config_for(), TimedStore(stored(**report("..", NOW, monitor="../../etc"))))
    (kept,) = [item.name for item in found.documents if item.name.startswith("reports/")]
    assert kept.startswith("reports/report-")


def test_it_comes_through_a_log():
    out = io.StringIO()
    run(config_for(), MemoryStore(stored()), MemoryLog(), out)
    lines = [f"2026-01-31T12:00:00Z {line}" for line in out.getvalue().splitlines()]
    assert Evidence.model_validate_json(decoded(lines)).version.digest == MODEL.digest


def logged(folder):
    """Return a log with facts of the model, of the run that made it, and of another model, and its last position."""
    log = MemoryLog()
    outbox = folder / "outbox"
    outbox.mkdir()
    run_of_model = {"kind": "TrainingJob", "namespace": "team", "name": MODEL.training_job, "run": MODEL.run}
    facts = (
        fact(1, model_digest=None, event="RunStarted", **run_of_model),
        fact(2, model_digest=MODEL.digest, event="RolloutApproved", actor="ada"),
        fact(3),
        fact(4, model_digest=None, event="RunStarted", **{**run_of_model, "namespace": "other"}),
    )
    (outbox / "a.jsonl").write_text(encode_outbox(facts))
    done = append(AuditAppend(uri=URI, outbox=str(outbox)), log, lambda: at(10), lambda _: None)
    return log, AuditPosition(sequence=done.sequence, hash=done.hash)


def text_of(found, name):
    return next(item.text for item in found.documents if item.name == name)


def test_the_audit_log_s_lines_about_the_model_are_kept_as_written(tmp_path):
    log, end = logged(tmp_path)
    found = collected(config_for(audit=AuditSource(uri=URI, expect=end)), MemoryStore(stored()), log)

    assert (found.audit.result, found.audit.lines, found.audit.last) == ("Intact", 4, end)
    lines = [json.loads(line) for line in text_of(found, "audit/lines.jsonl").splitlines()]
    assert [line["sequence"] for line in lines] == [1, 2]
    assert found.audit_lines == 2
    assert json.loads(text_of(found, "audit/verification.json"))["result"] == "Intact"
    for line in lines:
        rest = {name: value for name, value in line.items() if name != "hash"}
        assert line["hash"] == f"sha256:{hashlib.sha256(canonical(rest)).hexdigest()}"
    (segment,) = log.segments
    assert text_of(found, "audit/lines.jsonl").splitlines() == log.objects[segment].decode().splitlines()[:2]


@pytest.mark.parametrize("change", ["altered", "cut"])
def test_a_log_that_is_not_as_written_is_told_with_its_lines(tmp_path, change):
    log, end = logged(tmp_path)
    (segment,) = log.segments
    data = log.objects[segment]
    log.objects[segment] = data.replace(b"ada", b"eve") if change == "altered" else b"".join(data.splitlines(True)[:-1])
    found = collected(config_for(audit=AuditSource(uri=URI, expect=end)), MemoryStore(stored()), log)
    assert found.audit.result == "Broken"
    assert {"altered": "Altered", "cut": "CutTail"}[change] in {item.problem for item in found.audit.findings}
    assert found.audit_lines == 2


def test_a_log_that_cannot_be_read_is_not_judged_and_takes_nothing_with_it():
    found = collected(config_for(audit=AuditSource(uri=URI)), MemoryStore(stored()))
    assert (found.audit.result, found.audit_lines) == ("NotJudged", 0)
    assert "there is no audit log" in found.audit.not_checked[0]
    assert names(found)[:3] == ["version/manifest.json", "version/README.md", "version/model.sig"]


def test_without_a_log_nothing_is_said_of_one():
    found = collected(config_for(), MemoryStore(stored()))
    assert found.audit is None
    assert not [name for name in names(found) if name.startswith("audit/")]


def test_lines_that_are_too_long_for_the_bundle_are_told(tmp_path):
    log, _ = logged(tmp_path)
    room = len(document(MODEL)) + len(CARD) + 2 + 500
    found = collected(config_for(audit=AuditSource(uri=URI), most_bytes=room), MemoryStore(stored()), log)
    assert found.audit_lines == 0
    assert found.audit.result == "Intact"
    assert "the audit log's lines about the model are left out" in found.problems[0]
