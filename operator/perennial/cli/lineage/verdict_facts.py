"""What DriftMonitors have said about the model of a prediction, around its time."""

from collections.abc import Iterable

from perennial.api.contract.trace import Traced, TracedRequest, TracedVerdict
from perennial.api.driftmonitor.resource import DriftMonitor
from perennial.api.driftmonitor.status import Verdict
from perennial.cli.lineage.facts import Fact, Link, known, unknown
from perennial.cli.lineage.trace import Surroundings
from perennial.cli.loop import failed_checks
from perennial.core.times import moment_of

_STATUS = "status"


def verdict_links(request: TracedRequest, traced: Traced, around: Surroundings) -> Iterable[Link]:
    """One link for each monitor of the deployment: from its reports, else from its status."""
    if not around.monitors:
        yield Link("verdicts", (unknown("monitor", "no DriftMonitor of the namespace watches this ModelDeployment"),))
    for monitor in around.monitors:
        yield Link(f"verdicts of {monitor.metadata.name}", (*_facts(monitor, request, traced, around),))
    if traced.reports_problem:
        yield Link("reports that were not read", tuple(unknown("report", why) for why in traced.reports_problem))


def _facts(monitor: DriftMonitor, request: TracedRequest, traced: Traced, around: Surroundings) -> Iterable[Fact]:
    name = monitor.metadata.name
    found = [verdict for verdict in traced.verdicts if verdict.monitor == name]
    for side, verdict in (("last before", _before(found, request)), ("first after", _after(found, request))):
        if verdict is not None:
            yield known(side, told(verdict), f"report {verdict.uri}")
        else:
            yield unknown(side, _why_none(monitor, around, side.split()[1]))
    last = monitor.status.last_verdict
    if last is not None and last.id not in {verdict.job for verdict in found}:
        yield _last(last, request)


def _why_none(monitor: DriftMonitor, around: Surroundings, side: str) -> str:
    if monitor.spec.report is None:
        return "the monitor writes no reports (spec.report is unset)"
    if monitor in around.unreadable:
        return f"its reports lie in other storage: kubectl perennial report {monitor.metadata.name}"
    return f"no report of the eight days {side} the request is about this model"


def _before(found: list[TracedVerdict], request: TracedRequest) -> TracedVerdict | None:
    return next((item for item in reversed(found) if _at(item.time) <= _at(request.time)), None)


def _after(found: list[TracedVerdict], request: TracedRequest) -> TracedVerdict | None:
    return next((item for item in found if _at(item.time) > _at(request.time)), None)


def _at(time: str) -> float:
    moment = moment_of(time)
    return moment.timestamp() if moment is not None else 0.0


def told(verdict: TracedVerdict) -> str:
    """Sum up a verdict in a line."""
    failed = [
        f"{check.metric}{f' of {check.subject}' if check.subject else ''}" for check in verdict.checks if check.failed
    ]
    judged = [check for check in verdict.checks if check.value is not None]
    passed = f"{len(judged)} of {len(verdict.checks)} further checks judged, none failed"
    checks = f"checks failed: {', '.join(failed)}" if failed else passed if verdict.checks else "no further checks"
    drift = "drift" if verdict.drifted else "no drift"
    columns = f"{verdict.drifted_features} of {verdict.compared_features} columns drifted"
    quality = f", {len(verdict.quality_findings)} findings of data quality" if verdict.quality_findings else ""
    return f"{verdict.job} at {verdict.time}: {drift} ({columns}){quality}; {checks}"


def _last(verdict: Verdict, request: TracedRequest) -> Fact:
    """The verdict in the status: the newest one, which may be about another model."""
    if verdict.digest != request.digest:
        return unknown("newest", f"the verdict {verdict.id} in its status is about another model")
    drift = "drift" if verdict.drifted else "no drift"
    columns = f"{verdict.drifted_features} of {verdict.compared_features} columns drifted"
    more = "".join(f", {name}" for name in failed_checks(verdict))
    return known("newest", f"{verdict.id} at {verdict.time}: {drift} ({columns}){more}", _STATUS)
