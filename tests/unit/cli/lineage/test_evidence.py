"""`kubectl perennial evidence`: one file about a model, in which alteration is seen."""

from __future__ import annotations

import hashlib
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from perennial.api.contract.evidence import EvidenceConfig
from perennial.cli.cluster import Refused
from perennial.cli.errors import CliError
from tests.support.builders import EARLIER, NOW
from tests.unit.cli.lineage.test_trace import MODEL, Answers, answer, child, job, monitor, reported, run, serving
from tests.unit.cli.world import FakeCluster

__all__ = ["run"]
LATER = "2026-02-01T08:00:00Z"
CARD = "# churn <script>alert(1)</script>\n"


class Packs(Answers):
    """A cluster whose pods end with the agent's evidence."""

    def __init__(self, document: dict[str, Any], *objects: Any) -> None:
        super().__init__(document, *objects)
        self.texts[("perennial-evidence-1", "evidence")] = self.texts.pop(("perennial-trace-1", "trace"))


def found(**changes: Any) -> dict[str, Any]:
    documents = [
        {"name": "version/README.md", "uri": "s3://models/README.md", "text": CARD},
        {"name": "version/model.sig", "uri": "s3://models/model.sig", "text": "{}"},
    ]
    return {"version": answer()["version"], "verdicts": [reported("w-1", NOW)], "documents": documents, **changes}


def packed(run: Any, cluster: FakeCluster, folder: Path, *arguments: str) -> tuple[dict[str, bytes], str]:
    """Run the command; return the files of the bundle, and what was printed."""
    file = folder / "e.zip"
    done = run(cluster, "evidence", "churn", "-f", str(file), *arguments)
    assert done.exit_code == 0, done.exception
    with zipfile.ZipFile(file) as opened:
        return {name: opened.read(name) for name in opened.namelist()}, done.output


def facts(files: dict[str, bytes], title: str) -> list[str]:
    links = json.loads(files["evidence.json"])["links"]
    (link,) = [item for item in links if item["title"] == title]
    return [f"{fact['name']}: {fact.get('value') or 'not known: ' + fact['why']}" for fact in link["facts"]]


def test_the_bundle_holds_page_documents_records_and_their_sums(run: Any, tmp_path: Path) -> None:
    cluster = Packs(found(), serving(), child(), job(), monitor())
    files, told = packed(run, cluster, tmp_path)

    assert list(files) == [
        "index.html",
        "evidence.json",
        "records.json",
        "version/README.md",
        "version/model.sig",
        "SHA256SUMS",
    ]
    sums = dict(reversed(line.split("  ")) for line in files["SHA256SUMS"].decode().splitlines())
    assert sums == {name: hashlib.sha256(data).hexdigest() for name, data in files.items() if name != "SHA256SUMS"}
    assert f"sha256 of its SHA256SUMS: {hashlib.sha256(files['SHA256SUMS']).hexdigest()}" in told
    assert files["version/README.md"].decode() == CARD
    recorded = json.loads(files["records.json"])
    assert (recorded["history"][0]["approval"]["by"], recorded["runs"][0]["name"]) == ("ada@example.com", "churn-2")


def test_the_page_has_no_scripts_and_asks_for_nothing_from_elsewhere(run: Any, tmp_path: Path) -> None:
    hostile = found()
    hostile["version"]["image"] = "<script>alert(1)</script>\x1b"
    files, _ = packed(run, Packs(hostile, serving(), child(), job()), tmp_path)
    page = files["index.html"].decode()
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;?" in page
    assert "src=" not in page
    assert "color-scheme:light dark" in page
    assert '<a href="version/README.md">' in page


def test_it_tells_approval_verdicts_and_period_of_use(run: Any, tmp_path: Path) -> None:
    files, _ = packed(run, Packs(found(), serving(), child(), job(), monitor()), tmp_path)
    assert facts(files, "period of use") == [f"served: {EARLIER} to now"]
    assert f"approved by: ada@example.com, {EARLIER}, having seen the gates g1" in facts(files, "rollout of churn-aaa")
    assert facts(files, "verdicts")[0].startswith(f"churn: w-1 at {NOW}: drift")
    assert "signature: model.sig is in this bundle; it was not verified" in facts(files, "model")


def test_a_model_that_was_replaced_served_until_then(run: Any, tmp_path: Path) -> None:
    resource = serving()
    resource["status"]["history"].insert(
        0, {"name": "churn-bbb", "digest": "sha256:" + "b" * 64, "result": "Promoted", "time": LATER}
    )
    resource["status"]["stable"]["name"] = "churn-bbb"
    files, _ = packed(run, Packs(found(), resource, child()), tmp_path, "--model", MODEL)
    assert facts(files, "period of use") == [f"served: {EARLIER} to {LATER}"]


def test_what_is_not_recorded_is_said_to_be_not_recorded(run: Any, tmp_path: Path) -> None:
    unknown = "sha256:" + "c" * 64
    empty = {"versionProblem": "s3://models/x has no manifest.json", "problems": ["s3://r refused"]}
    cluster = Packs(empty, serving(), child())
    files, told = packed(run, cluster, tmp_path, "--model", unknown)
    assert facts(files, "period of use")[0].startswith("served: not known: status.history")
    assert facts(files, "verdicts") == ["verdicts: not known: no report about this model was found"]
    assert "not read: not known: s3://r refused" in facts(files, "not in this bundle")
    assert any("not signed" in line for line in facts(files, "not in this bundle"))
    assert "not read: s3://r refused" in told
    (container,) = cluster.made["spec"]["containers"]
    assert EvidenceConfig.model_validate_json(container["env"][0]["value"]).digest == unknown


def head(**data: str) -> dict[str, Any]:
    known = {"uri": "s3://audit/perennial/", "sequence": "9", "hash": f"sha256:{'7' * 64}", **data}
    return {"kind": "ConfigMap", "metadata": {"name": "perennial-audit-head"}, "data": known}


def test_it_asks_for_the_audit_log_and_tells_what_it_says(run: Any, tmp_path: Path) -> None:
    last = {"sequence": 9, "hash": f"sha256:{'7' * 64}"}
    report = {"result": "Intact", "uri": "s3://audit/perennial/", "segments": 2, "lines": 9, "last": last}
    cluster = Packs(found(audit=report, auditLines=3), serving(), child(), head())
    files, _ = packed(run, cluster, tmp_path)
    assert facts(files, "audit log") == [
        f"chain: Intact: 9 lines in 2 segments, the last is 9 with hash {last['hash']}",
        "lines about the model: 3, in audit/lines.jsonl",
    ]
    (container,) = cluster.made["spec"]["containers"]
    asked = EvidenceConfig.model_validate_json(container["env"][0]["value"]).audit
    assert asked is not None
    assert asked.dump() == {"uri": "s3://audit/perennial/", "expect": last}


def test_a_broken_log_is_told(run: Any, tmp_path: Path) -> None:
    finding = {"problem": "Altered", "segment": "2026/01/31.jsonl", "line": 2, "message": "line 2 is not as it was"}
    report = {"result": "Broken", "uri": "s3://audit/perennial/", "segments": 1, "lines": 2, "findings": [finding]}
    files, _ = packed(run, Packs(found(audit=report), serving(), child(), head()), tmp_path)
    assert facts(files, "audit log")[:2] == [
        "chain: Broken: 2 lines in 1 segments; 1 problems",
        "Altered: 2026/01/31.jsonl line 2 is not as it was",
    ]


def test_a_log_that_could_not_be_read_is_not_told_as_sound(run: Any, tmp_path: Path) -> None:
    report = {"result": "NotJudged", "uri": "s3://audit/perennial/", "notChecked": ["ArtifactAccessDenied: refused"]}
    files, _ = packed(run, Packs(found(audit=report), serving(), child(), head()), tmp_path)
    assert facts(files, "audit log") == [
        "chain: not known: s3://audit/perennial/ was not judged: ArtifactAccessDenied: refused"
    ]


class Without(Packs):
    """A cluster that answers as the API server does about what is not there, or not allowed."""

    status = 404

    def get(self, kind: Any, name: str, namespace: str | None = None) -> Any:
        if kind.kind == "ConfigMap":
            raise Refused(self.status, f"{namespace}: refused")
        return super().get(kind, name, namespace)


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (404, "no audit log is configured, or nothing was written to it yet: there is no ConfigMap"),
        (403, "ConfigMap perennial-audit-head in namespace ops cannot be read: ops: refused"),
    ],
)
def test_without_an_audit_log_it_says_so(run: Any, tmp_path: Path, status: int, told: str) -> None:
    cluster = Without(found(), serving(), child())
    cluster.status = status
    files, _ = packed(run, cluster, tmp_path, "--operator-namespace", "ops")
    (line,) = facts(files, "audit log")
    assert line.startswith("audit log: not known: not included: ")
    assert told in line


def test_a_position_that_the_operator_did_not_write_is_not_used(run: Any, tmp_path: Path) -> None:
    cluster = Packs(found(), serving(), child(), head(sequence="many"))
    files, _ = packed(run, cluster, tmp_path)
    assert "is not as the operator writes it" in facts(files, "audit log")[0]


def test_the_same_evidence_makes_the_same_documents(run: Any, tmp_path: Path) -> None:
    one, _ = packed(run, Packs(found(), serving(), child()), tmp_path)
    other, _ = packed(run, Packs(found(), serving(), child()), tmp_path)
    assert one["records.json"] == other["records.json"]


@pytest.mark.parametrize(
    ("model", "told"), [(("--model", "abc"), "is no digest"), ((), "serves no model: name one with --model")]
)
def test_without_a_model_there_is_no_file(run: Any, tmp_path: Path, model: tuple[str, ...], told: str) -> None:
    resource = serving()
    del resource["status"]["stable"]
    file = tmp_path / "e.zip"
    done = run(FakeCluster(resource, child()), "evidence", "churn", "-f", str(file), *model)
    assert isinstance(done.exception, CliError)
    assert told in str(done.exception)
    assert not file.exists()
