"""`perennial agent evidence`: what storage holds about one model."""

import io

from perennial.agent.storage.errors import AgentError
from perennial.agent.trace.evidence import evidence, run
from perennial.api.contract.evidence import Evidence, EvidenceConfig
from perennial.cli.agent_pod import decoded
from perennial.core.failures import ACCESS_DENIED, OBJECT_NOT_FOUND
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


def names(found):
    return [item.name for item in found.documents]


def test_the_documents_of_the_version_are_kept_as_they_are():
    found = evidence(config_for(), MemoryStore(stored()))

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
    found = evidence(config_for(), TimedStore(stored(**reports)))

    assert [verdict.job for verdict in found.verdicts] == ["w-2", "w-1"]
    kept = {item.uri: item.text.encode() for item in found.documents if item.name.startswith("reports/")}
    assert kept == {uri: data for uri, data in reports.items() if "w-1" in uri or "w-2" in uri}


def test_what_is_left_out_or_cannot_be_read_is_told():
    reports = {**report("w-1", NOW - HOUR), **report("w-2", NOW), f"{REPORTS}x/report.json": b"\xff"}
    store = Real(reports)
    found = evidence(config_for(most_reports=2), store)
    assert "only the newest 2 of 3 reports were read" in found.problems
    assert found.version is None
    assert found.version_problem == f"{VERSION} has no manifest.json"

    store = TimedStore({**stored(), **report("w-1", NOW)})
    tight = evidence(config_for(most_bytes=len(document(MODEL)) + len(CARD) + 2), store)
    assert names(tight) == ["version/manifest.json", "version/README.md", "version/model.sig"]
    assert "the bundle would be too large" in tight.problems[0]
    assert [verdict.job for verdict in tight.verdicts] == ["w-1"]


def test_refused_reports_do_not_take_the_rest_with_them():
    found = evidence(config_for(), Refusing(stored(**report("w-1", NOW)), ACCESS_DENIED, "reports"))
    assert len(found.documents) == 3
    assert found.problems == (f"ArtifactAccessDenied: {REPORTS}w-1/report.json: refused",)


def test_a_name_in_a_report_is_no_path_in_the_bundle():
    found = evidence(config_for(), TimedStore(stored(**report("..", NOW, monitor="../../etc"))))
    (kept,) = [item.name for item in found.documents if item.name.startswith("reports/")]
    assert kept.startswith("reports/report-")


def test_it_comes_through_a_log():
    out = io.StringIO()
    run(config_for(), MemoryStore(stored()), out)
    lines = [f"2026-01-31T12:00:00Z {line}" for line in out.getvalue().splitlines()]
    assert Evidence.model_validate_json(decoded(lines)).version.digest == MODEL.digest
