"""Sends captured requests to the candidate at a bounded rate, and the first of them to the stable revision as well."""

import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from perennial.agent.inference.client import Answer, ModelClient
from perennial.agent.replay.comparison import Compared, compare
from perennial.agent.replay.requests import CapturedRequest
from perennial.agent.storage.errors import AgentError
from perennial.api.contract.commands import ReplayConfig
from perennial.core.failures import MODEL_UNREACHABLE

log = logging.getLogger(__name__)

PAIRS = 200
"""Requests that are also sent to the stable revision, to compare response times."""
WARM_UP = 3
"""First requests whose response times are not compared: a server may load or compile with them."""
_TOO_MANY = 0.05


@dataclass
class Replay:
    """Answers to the requests that were sent.

    Attributes:
        compared: one per request sent; a request without an answer agrees in no row.
        failed: whether each request sent got no answer with success.
        ratios: candidate's divided by the stable revision's response time, of requests that both answered.
        errors: number of failed requests by reason.
        late: requests that were not sent, since the time had passed.
    """

    compared: list[Compared] = field(default_factory=list)
    failed: list[bool] = field(default_factory=list)
    ratios: list[float] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)
    late: int = 0


def send(
    requests: Sequence[CapturedRequest],
    candidate: ModelClient,
    stable: ModelClient | None,
    config: ReplayConfig,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Replay:
    """Send the requests one after the other.

    Args:
        requests: what to send.
        candidate: whose answers are compared.
        stable: asked in turn with the candidate about the first requests, for its response times; None: not asked.
        config: rate, time and tolerance.
        clock: monotonic time in seconds.
        sleep: waits for seconds.

    Raises:
        AgentError: ModelUnreachable, if the candidate did not respond at all to more than 5 % of the requests.
    """
    replay = Replay()
    start = clock()
    unreachable = 0
    for number, request in enumerate(requests):
        wait = start + number / config.rate - clock()
        if wait > 0:
            sleep(wait)
        if clock() - start >= config.seconds:
            replay.late = len(requests) - number
            log.warning(
                "stopped after %d of %d requests, since %g s have passed", number, len(requests), config.seconds
            )
            break
        asked = stable if number < PAIRS + WARM_UP else None
        answer, reference = _ask(request, candidate, asked, candidate_first=number % 2 == 0)
        unreachable += not answer.connected
        _record(replay, request, answer, config)
        if reference is not None and number >= WARM_UP and answer.error is None and reference.error is None:
            replay.ratios.append(answer.seconds / max(reference.seconds, 1e-9))
    if unreachable > _TOO_MANY * len(replay.failed):
        raise AgentError(
            MODEL_UNREACHABLE,
            f"{candidate.url} did not respond to {unreachable:,} of {len(replay.failed):,} requests: it was stopped, "
            "or it crashes on them",
        )
    return replay


def _ask(
    request: CapturedRequest, candidate: ModelClient, stable: ModelClient | None, *, candidate_first: bool
) -> tuple[Answer, Answer | None]:
    """Ask both; which of them comes first alternates, since the second may find warm caches beyond them."""
    if stable is None:
        return candidate.post(request.path, request.request), None
    if candidate_first:
        answer = candidate.post(request.path, request.request)
        return answer, stable.post(request.path, request.request)
    reference = stable.post(request.path, request.request)
    return candidate.post(request.path, request.request), reference


def _record(replay: Replay, request: CapturedRequest, answer: Answer, config: ReplayConfig) -> None:
    replay.failed.append(answer.error is not None)
    if answer.error is not None:
        replay.errors[answer.error] += 1
        rows = compare(request.response, None, config.tolerance, config.threshold).rows
        replay.compared.append(Compared(rows, 0))
        return
    replay.compared.append(compare(request.response, answer.body, config.tolerance, config.threshold))
