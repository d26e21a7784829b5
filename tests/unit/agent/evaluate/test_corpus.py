"""Runs every case of tests/corpus/evaluation through `evaluate`, against servers on loopback."""

import json
from contextlib import ExitStack
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ConfigDict, Field

from perennial.agent.evaluate.command import run
from perennial.agent.storage.errors import AgentError
from perennial.api.common.base import Model
from perennial.api.contract.commands import EvaluateConfig
from perennial.api.contract.messages import Asked, Evaluated
from tests.support.models import Answer, columns_of, predictions, serving
from tests.unit.agent.drift.store import MemoryStore

CORPUS = Path(__file__).parents[3] / "corpus" / "evaluation"
CASES = sorted(CORPUS.glob("*.yaml"))


class Server(Model):
    """How a server answers."""

    model_config = ConfigDict(extra="forbid")

    echo: str | None = None
    failing: str | None = None
    status: int = 200
    body: Any = None
    outputs: dict[str, list[Any]] | None = None

    def answer(self, body: Any) -> Answer:
        if self.outputs is not None:
            return 200, {"outputs": [predictions(data, name)["outputs"][0] for name, data in self.outputs.items()]}
        columns = columns_of(body)
        if self.echo is None or (self.failing and any(columns[self.failing])):
            return (self.status if self.echo is None else 500), self.body
        return 200, predictions(columns[self.echo])


class Expected(Model):
    """Outcome of one case. Texts are parts of what is reported."""

    model_config = ConfigDict(extra="forbid")

    value: float | None = None
    gain: float | None = None
    rows: int | None = None
    unlabelled: int | None = None
    why: str | None = None
    candidate_failed: int | None = None
    stable_failed: int | None = None
    candidate_error: str | None = None
    failure: str | None = None
    message: str = ""


class Case(Model):
    """Content of a case."""

    model_config = ConfigDict(extra="forbid")

    about: str
    rows: int
    columns: dict[str, list[Any]]
    candidate: Server
    stable: Server | None = None
    config: dict[str, Any] = Field(default_factory=dict)
    expect: Expected


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_case(path: Path, tmp_path: Path) -> None:
    case = Case.model_validate(yaml.safe_load(path.read_text()))
    store = MemoryStore({"s3://data/labelled/a.jsonl": _lines(case)})

    with ExitStack() as stack:
        urls = {
            name: stack.enter_context(serving(server.answer)).url
            for name, server in (("candidate", case.candidate), ("stable", case.stable))
            if server is not None
        }
        config = _config(case, urls, tmp_path)
        if case.expect.failure is not None:
            with pytest.raises(AgentError, match=case.expect.message) as caught:
                run(config, store)
            assert caught.value.failure.reason == case.expect.failure
            return
        found = run(config, store)

    _check(found, case.expect)


def _lines(case: Case) -> bytes:
    columns = {name: list(islice(cycle(values), case.rows)) for name, values in case.columns.items()}
    rows = ({name: values[index] for name, values in columns.items()} for index in range(case.rows))
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def _config(case: Case, urls: dict[str, str], scratch: Path) -> EvaluateConfig:
    data = {"uri": "s3://data/labelled/", "label": "y", **case.config.pop("data", {})}
    given = {"performance": [{"metric": "rocAuc"}], **case.config}
    return EvaluateConfig.model_validate({"model": "m", "data": data, "scratch": str(scratch), **urls, **given})


def _check(found: Evaluated, expect: Expected) -> None:
    result = found.results[0]
    stable = found.stable or Asked(rows=0)
    assert (expect.why is None) == (result.why is None), result.why
    assert (expect.why or "") in (result.why or "")
    assert (expect.candidate_error or "") in (found.candidate.error or "")
    seen = {
        "value": result.value and float(result.value),
        "gain": result.gain and float(result.gain),
        "rows": result.rows,
        "unlabelled": found.unlabelled,
        "candidate_failed": found.candidate.failed,
        "stable_failed": stable.failed,
    }
    wanted = {name: value for name in seen if (value := getattr(expect, name)) is not None}
    assert {name: seen[name] for name in wanted} == wanted
