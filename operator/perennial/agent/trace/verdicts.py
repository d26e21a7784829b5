"""Finds the verdicts about a model around a time, in the reports of DriftMonitors."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice

from pydantic import ValidationError

from perennial.agent.storage.errors import AgentError
from perennial.agent.tables.files import Store, StoredObject, uri_of
from perennial.agent.text import cut
from perennial.api.contract.trace import TracedRequest, TracedVerdict
from perennial.core.times import moment_of

_REPORT = "report.json"
_REPORT_BYTES = 16 * 2**20
_MOST_LISTED = 50_000
_MOST_READ = 20
"""Reports read on either side of the time."""
_AROUND = timedelta(days=8)
"""Monitors compare at least weekly as a rule; what is farther away says little about the request."""
_LONGEST = 500


@dataclass(frozen=True)
class Verdicts:
    """Verdicts around a request.

    Attributes:
        found: the last one before it and the first one after it, of each monitor.
        problems: what could not be read, and why.
    """

    found: tuple[TracedVerdict, ...] = ()
    problems: tuple[str, ...] = ()


def verdicts_around(request: TracedRequest, uri: str, store: Store) -> Verdicts:
    """Read the reports below a prefix that were written within eight days of a request, the nearest ones first.

    Args:
        request: its time, its model and its deployment.
        uri: `spec.report.uri` of a DriftMonitor; several may share it.
        store: storage.
    """
    moment = moment_of(request.time)
    if moment is None:
        return Verdicts(problems=("the time of the request cannot be read",))
    problems: list[str] = []
    try:
        listed = list(islice(store.list(uri.rstrip("/") + "/"), _MOST_LISTED + 1))
    except AgentError as error:
        return Verdicts(problems=(cut(f"{error.failure.reason}: {error.message}", _LONGEST),))
    if len(listed) > _MOST_LISTED:
        problems.append(f"{uri} has more than {_MOST_LISTED:,} objects; only the first ones by name were looked at")
    reports = [item for item in listed if item.relative.endswith(f"/{_REPORT}")]
    near = [item for item in reports if abs(item.last_modified - moment) <= _AROUND]
    found: list[TracedVerdict] = []
    for side in (_before(near, moment), _after(near, moment)):
        if len(side) > _MOST_READ:
            problems.append(f"{uri}: only the nearest {_MOST_READ} of {len(side):,} reports were read")
        for item in side[:_MOST_READ]:
            where = uri_of(uri, item.key)
            verdict = _verdict(where, store)
            if isinstance(verdict, str):
                problems.append(verdict)
            elif _concerns(verdict, request):
                found.append(verdict)
    return Verdicts(_nearest(found, request.time), tuple(problems))


def _before(items: list[StoredObject], moment: datetime) -> list[StoredObject]:
    return sorted((item for item in items if item.last_modified < moment), key=lambda one: one.last_modified)[::-1]


def _after(items: list[StoredObject], moment: datetime) -> list[StoredObject]:
    return sorted((item for item in items if item.last_modified >= moment), key=lambda one: one.last_modified)


def _verdict(uri: str, store: Store) -> TracedVerdict | str:
    """Read a report, or tell why it cannot be read."""
    try:
        return TracedVerdict.model_validate_json(store.get_bytes(uri, _REPORT_BYTES)).model_copy(update={"uri": uri})
    except ValidationError:
        return cut(f"{uri} is no report of this format", _LONGEST)
    except AgentError as error:
        return cut(f"{error.failure.reason}: {error.message}", _LONGEST)


def _concerns(verdict: TracedVerdict, request: TracedRequest) -> bool:
    return (verdict.namespace, verdict.deployment, verdict.digest) == (
        request.namespace,
        request.deployment,
        request.digest,
    )


def _nearest(found: list[TracedVerdict], time: str) -> tuple[TracedVerdict, ...]:
    """Keep of each monitor the last verdict up to the time, and the first one after it."""
    moment = moment_of(time)
    kept: dict[tuple[str, bool], TracedVerdict] = {}
    for verdict in sorted(found, key=lambda one: one.time):
        at = moment_of(verdict.time)
        if at is None or moment is None:
            continue
        later = at > moment
        if later:
            kept.setdefault((verdict.monitor, later), verdict)
        else:
            kept[verdict.monitor, later] = verdict
    return tuple(sorted(kept.values(), key=lambda one: (one.monitor, one.time)))
