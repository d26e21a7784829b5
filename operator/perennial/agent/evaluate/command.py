"""`perennial agent evaluate`: read labelled rows, ask both revisions, measure, report."""

import logging
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from polars.exceptions import PanicException, PolarsError

from perennial.agent.evaluate.data import Sample, read_sample
from perennial.agent.evaluate.metrics import fairness, performance
from perennial.agent.evaluate.scoring import Asking, Scores, score_rows
from perennial.agent.inference.client import ModelClient
from perennial.agent.inference.encoding import encoder, path_of, prepared
from perennial.agent.storage.errors import AgentError, classify
from perennial.agent.tables.files import Store
from perennial.api.contract.commands import EvaluateConfig
from perennial.api.contract.messages import Evaluated
from perennial.core.failures import DATA_INVALID
from perennial.core.times import format_time, parse_duration
from perennial.stats.intervals import Undefined

log = logging.getLogger(__name__)


def run(config: EvaluateConfig, store: Store, now: datetime | None = None) -> Evaluated:
    """Let both revisions score the data, and return the metrics.

    Args:
        config: data, revisions and metrics.
        store: storage of the data.
        now: time of the result. None: the current time.

    Raises:
        AgentError: as in `core.failures`, such as DataInvalid and ModelUnreachable.
    """
    scratch = Path(config.scratch)
    try:
        scratch.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="evaluate-", dir=scratch) as folder:
            sample = read_sample(config, store, Path(folder))
        features = prepared(sample.features, config.request)
    except OSError as error:  # a full disk, most likely
        raise classify(error, str(scratch)) from error
    except Undefined as error:
        raise AgentError(DATA_INVALID, str(error)) from error
    except (PolarsError, PanicException) as error:
        raise AgentError(DATA_INVALID, f"the data cannot be read: {' '.join(str(error).split())[:300]}") from error
    urls = (config.candidate, *((config.stable,) if config.stable else ()))
    clients = tuple(ModelClient(url, parse_duration(config.request.timeout).total_seconds()) for url in urls)
    for client in clients:
        client.reach()
    form = config.request
    asking = Asking(encoder(form), path_of(form, config.model), config.predictions.output, form.batch)
    scores = score_rows(features, clients, asking, config.seconds)
    return _result(config, sample, scores, format_time(now or datetime.now(UTC)))


def _result(config: EvaluateConfig, sample: Sample, scores: tuple[Scores, ...], time: str) -> Evaluated:
    frames = [score.frame(sample.known) for score in scores]
    candidate, stable = frames[0], frames[1] if len(frames) > 1 else None
    results = (
        *(performance(wanted, candidate, stable, config.predictions) for wanted in config.performance),
        *(fairness(check, candidate, stable, config.predictions) for check in config.fairness),
    )
    for item in results:
        log.info("%s", item.model_dump_json(by_alias=True, exclude_none=True))
    return Evaluated(
        time=time,
        rows=sample.rows,
        unlabelled=sample.unlabelled,
        candidate=scores[0].summary(),
        stable=scores[1].summary() if len(scores) > 1 else None,
        results=results,
    )
