"""The parts of a model's page about runs: the list, and two of them side by side."""

from collections.abc import Iterable
from datetime import datetime
from itertools import groupby

from perennial.api.trainingjob.resource import TrainingJob
from perennial.api.trainingjob.status import RunRecord
from perennial.cli.dashboard.markup import Child, Html, badge, join, table, tag
from perennial.cli.nodes import State
from perennial.cli.runs import Difference, compare, run_rows
from perennial.cli.words import ago

_RESULTS: dict[str, State] = {"Succeeded": "ok", "Running": "working", "Replaced": "unknown"}
_TWO = 2


def run_list(job: TrainingJob, now: datetime) -> Html:
    """Runs that status keeps, newest first."""
    found = run_rows(job)
    if not found:
        return tag("p", "No run yet.", cls="quiet")
    rows: Iterable[tuple[Child, ...]] = (
        (
            tag("strong", row["run"]),
            badge(_RESULTS.get(row["result"], "failed"), row["result"]),
            row["trigger"],
            tag("time", ago(row["started"], now), datetime=row["started"], title=row["started"]),
            row["attempts"],
            row["metrics"],
        )
        for row in found
    )
    return table(
        "Runs, newest first", ("Run", "Result", "Cause", "Started", "Attempts", "Metrics"), rows, numeric="Attempts"
    )


def chosen(job: TrainingJob, left: str | None, right: str | None) -> tuple[RunRecord, RunRecord] | None:
    """The two runs to compare: those that are asked for and kept, else the newest two; None if there is one only."""
    kept = job.status.runs
    if len(kept) < _TWO:
        return None
    named = {run.name: run for run in kept}
    return named.get(left or "", kept[1]), named.get(right or "", kept[0])


def side_by_side(job: TrainingJob, left: str | None, right: str | None) -> Html:
    """A form that chooses two runs, and everything in which they differ or agree."""
    pair = chosen(job, left, right)
    if pair is None:
        return tag("p", "Two ended runs can be compared; there are fewer.", cls="quiet")
    one, other = pair
    names = tuple(run.name for run in job.status.runs)
    form = tag(
        "form",
        _choice("left", "Compare", names, one.name),
        _choice("right", "with", names, other.name),
        tag("button", "Compare", type="submit"),
        method="get",
        action="#compare",
        cls="choose",
    )
    differences = compare(one, other)
    differing = sum(not item.same for item in differences)
    told = f"{differing} of {len(differences)} recorded properties differ." if differing else "They differ in nothing."
    groups = tuple(_group(name, tuple(items)) for name, items in groupby(differences, key=lambda item: item.group))
    head = tag("thead", tag("tr", *(tag("th", name, scope="col") for name in ("", one.name, other.name))))
    caption = tag("caption", f"{one.name} and {other.name} side by side", cls="unseen")
    return join((form, tag("p", told, cls="quiet"), tag("table", caption, head, *groups, cls="pair")))


def _choice(name: str, label: str, names: tuple[str, ...], value: str) -> Html:
    options = (tag("option", item, value=item, selected=item == value) for item in names)
    return tag("label", f"{label} ", tag("select", *options, name=name, id=f"choose-{name}"))


def _group(name: str, items: tuple[Difference, ...]) -> Html:
    heading = tag("tr", tag("th", name, colspan=3, scope="rowgroup"), cls="group")
    return tag("tbody", heading, *(_row(item) for item in items))


def _row(item: Difference) -> Html:
    mark = None if item.same else tag("span", "≠", title="differs", role="img", aria_label="differs", cls="mark")
    cells = (tag("td", text or tag("span", "none", cls="quiet")) for text in (item.left, item.right))
    return tag("tr", tag("th", item.name, " ", mark, scope="row"), *cells, cls=None if item.same else "differs")
