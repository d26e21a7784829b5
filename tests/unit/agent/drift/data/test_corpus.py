"""Runs every case of tests/corpus/data through `drift`, on storage in memory."""

from pathlib import Path
from typing import Literal

import pytest
import yaml
from pydantic import BaseModel, ConfigDict, Field

from perennial.agent.drift.command import run
from perennial.agent.storage.errors import AgentError
from perennial.api.contract.commands import CaptureWindow, DriftConfig
from perennial.api.contract.messages import DriftVerdict
from perennial.api.contract.report import DriftReport
from tests.unit.agent.drift.store import DIGEST, NOW, MemoryStore, capture_file, capture_uri, record

CORPUS = Path(__file__).parents[4] / "corpus" / "data"
CASES = sorted(path.parent for path in CORPUS.glob("*/case.yaml"))
REPORT = "s3://data/reports/"


class Expected(BaseModel):
    """Outcome of one case. Texts are parts of what is reported; lists are complete unless they are texts."""

    model_config = ConfigDict(extra="forbid")

    outcome: Literal["Verdict", "WindowEmpty", "TooFewRows", "NoCommonColumns", "DataInvalid"]
    message: tuple[str, ...] = ()
    drifted: bool | None = None
    drifted_columns: tuple[str, ...] | None = None
    compared: tuple[str, ...] | None = None
    not_compared: dict[str, str] = Field(default_factory=dict)
    findings: tuple[str, ...] | None = None
    notes: tuple[str, ...] = ()
    sentences: dict[str, str] = Field(default_factory=dict)
    rows: tuple[int, int] | None = None
    passed_over: int | None = None
    labelled: int | None = None
    scores: dict[str, float] = Field(default_factory=dict)
    why: str | None = None
    segments: dict[str, bool | str] = Field(default_factory=dict)


class Case(BaseModel):
    """Content of case.yaml: what the case shows, fields of DriftConfig, and the outcome."""

    model_config = ConfigDict(extra="forbid")

    about: str
    config: dict[str, object] = Field(default_factory=dict)
    expect: Expected


def stored(folder: Path) -> MemoryStore:
    """Return the files of a case as objects of the bucket `data`; each line of capture.jsonl becomes a record."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.parent != folder]
    store = MemoryStore({f"s3://data/{path.relative_to(folder).as_posix()}": path.read_bytes() for path in files})
    captured = folder / "capture.jsonl"
    if captured.exists():
        lines = captured.read_text().splitlines()
        values = [yaml.safe_load(line) for line in lines]
        store.objects[capture_uri("s3://data/capture/", NOW)] = capture_file(
            *(
                record(value.pop("request", None), **{"id": f"r{number}", **value})
                for number, value in enumerate(values)
            )
        )
    return store


def config_of(case: Case, folder: Path, scratch: Path) -> DriftConfig:
    window = CaptureWindow(uri="s3://data/capture/", seconds=7200, digest=DIGEST)
    captured = (folder / "capture.jsonl").exists()
    return DriftConfig.model_validate(
        {
            "namespace": "team", "monitor": "churn-drift", "deployment": "churn", "digest": DIGEST,
            "reference": "s3://data/reference/", "current": window if captured else "s3://data/current/",
            "report": REPORT, "scratch": str(scratch), **case.config,
        }
    )  # fmt: skip


@pytest.mark.parametrize("folder", CASES, ids=lambda path: path.name)
def test_the_outcome_is_as_written_beside_the_files(folder, tmp_path):
    case = Case.model_validate(yaml.safe_load((folder / "case.yaml").read_text()))
    store = stored(folder)
    outcome, text = outcome_of(config_of(case, folder, tmp_path), store)
    assert outcome == case.expect.outcome, text
    if isinstance(text, str):
        check_text(case.expect, text)
    else:
        report = DriftReport.model_validate_json(store.objects[f"{REPORT}job-1/report.json"])
        check_verdict(case.expect, text, report)


def outcome_of(config: DriftConfig, store: MemoryStore) -> tuple[str, str | DriftVerdict]:
    """Return the outcome with its message, or with the verdict."""
    try:
        message = run(config, store, NOW, "job-1")
    except AgentError as error:
        return error.failure.reason, error.message
    return ("Verdict", message) if isinstance(message, DriftVerdict) else (message.reason, message.message)


def check_text(expected: Expected, text: str) -> None:
    assert expected.message, "say what the message must contain"
    for part in expected.message:
        assert part in text


def check_verdict(expected: Expected, message: DriftVerdict, report: DriftReport) -> None:
    optional = {
        "drifted": report.drifted,
        "drifted_columns": tuple(sorted(item.name for item in report.features if item.drifted)),
        "compared": tuple(sorted(item.name for item in report.features)),
        "rows": (report.reference.rows, report.current.rows),
        "passed_over": message.passed_over,
        "labelled": report.labelled_rows,
    }
    wanted = expected.model_dump(include=set(optional), exclude_none=True)
    assert {name: optional[name] for name in wanted} == wanted
    reasons = {item.name: item.reason for item in report.not_compared}
    check_parts(expected.not_compared, reasons)
    check_parts(expected.sentences, {item.name: item.sentence for item in report.features})
    if expected.findings is not None:
        assert len(report.quality_findings) == len(expected.findings), report.quality_findings
        assert all(part in text for part, text in zip(expected.findings, report.quality_findings, strict=True))
    for part in expected.notes:
        assert any(part in note for note in report.notes), report.notes
    for metric, value in expected.scores.items():
        assert {check.metric: check.value for check in report.checks}[metric] == pytest.approx(value)
    segments: dict[str, bool | str] = {
        **{column.column: column.why for column in report.segments if column.why is not None},
        **{f"{column.column} = {item.value}": item.deviates for column in report.segments for item in column.segments},
    }
    assert segments == expected.segments
    if expected.why is not None:
        assert expected.why in (report.checks[0].why or "")


def check_parts(expected: dict[str, str], texts: dict[str, str]) -> None:
    for name, part in expected.items():
        assert part in texts.get(name, f"nothing about {name}; there is {sorted(texts)}")
