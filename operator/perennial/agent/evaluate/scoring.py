"""Asks both revisions about the same rows, in turn, and collects their predictions."""

import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from perennial.agent.inference.client import Answer, ModelClient
from perennial.agent.inference.encoding import Encode
from perennial.agent.predictions.outputs import output_columns
from perennial.agent.predictions.payload import MalformedPayload, Payload, parse_answer
from perennial.agent.storage.errors import AgentError
from perennial.agent.tables.table import Scalar, series_of
from perennial.api.contract.messages import Asked
from perennial.core.failures import MODEL_UNREACHABLE
from perennial.stats.intervals import Undefined

log = logging.getLogger(__name__)

_TOO_MANY = 0.05
"""Share of rows without any response from which the server counts as away, which says nothing about the model."""
_SPLITS = 500
"""Most further requests of one revision that look for the rows which make a request fail."""


@dataclass
class Scores:
    """Predictions of one revision.

    Attributes:
        columns: internal output columns; None for rows without an answer, as many values as rows asked.
        rows: rows asked.
        failed: rows without an answer.
        errors: rows without an answer, by reason.
        unreachable: rows without an answer because there was no connection.
    """

    columns: dict[str, list[Scalar]] = field(default_factory=dict)
    rows: int = 0
    failed: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    unreachable: int = 0

    def add(self, columns: Mapping[str, Sequence[Scalar]], rows: int) -> None:
        """Append answers. Columns not given are missing in these rows."""
        for name in {*self.columns, *columns}:
            held = self.columns.setdefault(name, [None] * self.rows)
            held.extend(columns.get(name, [None] * rows))
        self.rows += rows

    def add_failure(self, rows: int, answer: Answer) -> None:
        """Append rows without an answer."""
        self.add({}, rows)
        self.failed += rows
        self.errors[answer.error or "no answer"] += rows
        self.unreachable += 0 if answer.connected else rows

    def frame(self, known: pl.DataFrame) -> pl.DataFrame:
        """Return the known columns of the rows asked, with the predictions beside them."""
        outputs = [series_of(name, values) for name, values in self.columns.items()]
        return known.head(self.rows).with_columns(outputs)

    def summary(self) -> Asked:
        """Return how the requests ended."""
        common = self.errors.most_common(1)
        return Asked(rows=self.rows, failed=self.failed, error=common[0][0][:200] if common else None)


@dataclass(frozen=True)
class Asking:
    """How to ask a model about rows.

    Attributes:
        encode: encodes rows as the body of a request.
        path: path of the requests.
        output: name of the output to read; None: the only one.
        batch: rows per request.
    """

    encode: Encode
    path: str
    output: str | None
    batch: int


def score_rows(
    features: pl.DataFrame,
    clients: Sequence[ModelClient],
    asking: Asking,
    seconds: float,
    clock: Callable[[], float] = time.monotonic,
) -> tuple[Scores, ...]:
    """Let every model score the same rows, request by request, until all are scored or the time has passed.

    Args:
        features: rows to send, prepared for the encoding.
        clients: one per model.
        asking: how to ask.
        seconds: time for all requests.
        clock: monotonic time in seconds.

    Raises:
        AgentError: ModelUnreachable, if a server did not respond at all to more than 5 % of the rows.
    """
    scores = tuple(Scores() for _ in clients)
    end = clock() + seconds
    budgets = [_Budget(_SPLITS) for _ in clients]
    for start in range(0, features.height, asking.batch):
        if clock() >= end:
            log.warning("stopped after %d of %d rows, since %g s have passed", start, features.height, seconds)
            break
        rows = features.slice(start, asking.batch)
        for client, score, budget in zip(clients, scores, budgets, strict=True):
            _ask(rows, client, asking, score, budget)
    for client, score in zip(clients, scores, strict=True):
        if score.unreachable > _TOO_MANY * score.rows:
            raise AgentError(
                MODEL_UNREACHABLE,
                f"{client.url} did not respond to {score.unreachable:,} of {score.rows:,} rows: it was stopped, or it "
                "crashes on them",
            )
    return scores


@dataclass
class _Budget:
    """Requests that may still be spent on looking for bad rows."""

    left: int


def _ask(rows: pl.DataFrame, client: ModelClient, asking: Asking, scores: Scores, budget: _Budget) -> None:
    """Ask about rows; if the server refuses them, ask about their halves, so that a bad row takes no others with it.

    Not after an answer with a wrong number of predictions: one for fewer rows might fit by chance.
    """
    answer = client.post(asking.path, asking.encode(rows))
    found = _columns_of(answer, rows.height, asking.output)
    if not isinstance(found, Answer):
        scores.add(found, rows.height)
        return
    if rows.height == 1 or not found.refused or budget.left <= 0:
        scores.add_failure(rows.height, found)
        return
    budget.left -= 2
    half = rows.height // 2
    _ask(rows.head(half), client, asking, scores, budget)
    _ask(rows.tail(rows.height - half), client, asking, scores, budget)


def _columns_of(answer: Answer, rows: int, output: str | None) -> Mapping[str, Sequence[Scalar]] | Answer:
    """Return the prediction of each row by internal column, or the answer with the reason why there is none."""
    if answer.error is not None:
        return answer
    try:
        payload = parse_answer(answer.body)
        chosen = output_columns(list(payload.columns), output)
        _require_rows(payload, rows)
    except (MalformedPayload, Undefined) as error:
        return Answer(error=f"a response that cannot be read: {error}")
    return {internal: payload.columns[name] for name, internal in chosen.items()}


def _require_rows(payload: Payload, rows: int) -> None:
    if payload.rows != rows or payload.lost_rows:
        raise MalformedPayload(f"{payload.rows:,} predictions for {rows:,} rows")
