"""Runs of a TrainingJob: a table, and two of them side by side."""

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from typing import Any

from perennial.api.trainingjob.resource import TrainingJob
from perennial.api.trainingjob.status import RunRecord
from perennial.cli.errors import CliError
from perennial.cli.words import pairs, short_digest


@dataclass(frozen=True)
class Difference:
    """One property of two runs."""

    group: str
    name: str
    left: str
    right: str

    @property
    def same(self) -> bool:
        """Whether both runs have the same value."""
        return self.left == self.right


def run_rows(resource: TrainingJob) -> list[dict[str, str]]:
    """Rows of the table of runs, newest first; the run in progress leads."""
    current = resource.status.current_run
    rows = []
    if current is not None:
        rows.append(
            {
                "run": current.name,
                "result": "Running",
                "trigger": current.trigger.kind,
                "started": current.start_time,
                "attempts": str(current.attempt + 1),
                "metrics": pairs(current.progress.metrics if current.progress else None),
                "artifact": "",
            }
        )
    return rows + [
        {
            "run": run.name,
            "result": run.result,
            "trigger": run.trigger.kind,
            "started": run.start_time,
            "attempts": str(run.attempts),
            "metrics": pairs(run.metrics),
            "artifact": short_digest(run.artifact_digest),
        }
        for run in resource.status.runs
    ]


def find_run(text: str, jobs: tuple[TrainingJob, ...]) -> RunRecord:
    """Find an ended run by its name.

    Raises:
        CliError: no TrainingJob of the namespace has kept such a run.
    """
    known = [run for job in jobs for run in job.status.runs]
    found = next((run for run in known if run.name == text), None)
    if found is None:
        names = ", ".join(run.name for run in known[:10]) or "none"
        raise CliError(f"no ended run {text} is kept in status (spec.history.runs); the newest are: {names}")
    return found


def compare(left: RunRecord, right: RunRecord) -> tuple[Difference, ...]:
    """Put everything that makes two runs differ side by side."""
    return tuple(
        Difference(group, name, one.get(name, ""), other.get(name, ""))
        for group, one, other in _groups(left, right)
        for name in dict.fromkeys((*one, *other))
    )


def _groups(left: RunRecord, right: RunRecord) -> Iterator[tuple[str, dict[str, str], dict[str, str]]]:
    for name, read in (("run", _facts), ("parameters", _parameters), ("data", _data), ("metrics", _metrics)):
        yield name, read(left), read(right)


def _facts(run: RunRecord) -> dict[str, str]:
    source = run.source.dump() if run.source is not None else {}
    facts: dict[str, Any] = {
        "result": run.result,
        "trigger": run.trigger.kind,
        "started": run.start_time,
        "ended": run.completion_time,
        "attempts": run.attempts,
        "image": run.image,
        "image digest": run.image_digest,
        "repository": source.get("repository"),
        "commit": source.get("commit"),
        "seed": run.seed,
        "artifact": run.artifact_digest,
        "reason": run.reason,
    }
    return {name: str(value) for name, value in facts.items() if value is not None}


def _parameters(run: RunRecord) -> dict[str, str]:
    return dict(run.parameters or {})


def _data(run: RunRecord) -> dict[str, str]:
    return {item.name: item.digest for item in run.inputs or ()}


def _metrics(run: RunRecord) -> dict[str, str]:
    return dict(run.metrics or {})


def comparison_html(left: RunRecord, right: RunRecord) -> str:
    """A page without scripts or outside references: the table, and a bar for each metric of both runs."""
    rows = "".join(_row(item) for item in compare(left, right))
    bars = "".join(
        _bars(item) for item in compare(left, right) if item.group == "metrics" and _numbers(item) is not None
    )
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(left.name)} and {escape(right.name)}</title><style>{_STYLE}</style>"
        f"<h1>{escape(left.name)} <small>and</small> {escape(right.name)}</h1>"
        f"<table><thead><tr><th></th><th></th><th>{escape(left.name)}</th><th>{escape(right.name)}</th></tr></thead>"
        f"<tbody>{rows}</tbody></table><h2>Metrics</h2>{bars or '<p>No metric that both runs have is a number.</p>'}"
        "</html>\n"
    )


_STYLE = (
    ":root{color-scheme:light dark;font:15px/1.5 system-ui,sans-serif}body{max-width:70rem;margin:2rem auto;"
    "padding:0 1rem}table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.3rem .6rem;"
    "border-bottom:1px solid #8884;overflow-wrap:anywhere}tr.differs td{background:#f5a62322}"
    "svg{width:100%;height:3.6rem}svg text{font-size:13px;fill:currentColor}small{opacity:.6}"
)


def _row(item: Difference) -> str:
    mark = "" if item.same else ' class="differs"'
    cells = "".join(f"<td>{escape(text)}</td>" for text in (item.group, item.name, item.left, item.right))
    return f"<tr{mark}>{cells}</tr>"


def _numbers(item: Difference) -> tuple[float, float] | None:
    try:
        return float(item.left), float(item.right)
    except ValueError:
        return None


def _bars(item: Difference) -> str:
    """Two bars on one scale that begins at zero."""
    left, right = _numbers(item) or (0.0, 0.0)
    most = max(abs(left), abs(right)) or 1.0
    shapes = "".join(
        f'<rect x="160" y="{y}" width="{abs(value) / most * 480:.1f}" height="18" fill="{color}" rx="2"/>'
        f'<text x="{170 + abs(value) / most * 480:.1f}" y="{y + 14}">{escape(text)}</text>'
        for y, value, text, color in ((4, left, item.left, "#5b8def"), (28, right, item.right, "#f2994a"))
    )
    title = f"{item.name}: {item.left} and {item.right}"
    return (
        f'<svg viewBox="0 0 800 54" role="img" aria-label="{escape(title)}"><title>{escape(title)}</title>'
        f'<text x="0" y="30">{escape(item.name)}</text>{shapes}</svg>'
    )
