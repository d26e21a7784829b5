"""Commands that show what is there: the loops, causes, logs, and runs."""

import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Group
from rich.live import Live

from perennial.cli.commands.shared import Output, cluster_of
from perennial.cli.errors import CliError
from perennial.cli.logs import followed, merged, sources_of
from perennial.cli.loop import loops
from perennial.cli.nodes import Node, plain, rich_tree
from perennial.cli.output import Format, console, write, write_json, write_table
from perennial.cli.runs import compare, comparison_html, find_run, run_rows
from perennial.cli.snapshot import find_key, read_snapshot
from perennial.cli.why import Answer, why

Watch = Annotated[bool, typer.Option("-w", "--watch", help="Redraw every two seconds until interrupted.")]
_EVERY = 2.0


def status(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(help="kind/name: show only its loop.")] = None,
    watch: Watch = False,
    output: Output = Format.TEXT,
) -> None:
    """Show the loop of each model: verdict, run with attempt and pods, artifact, candidate, stable."""
    cluster = cluster_of(context)

    def trees() -> tuple[Node, ...]:
        snapshot = read_snapshot(cluster)
        found = loops(snapshot, datetime.now(UTC))
        if name is None:
            return found
        key = find_key(name, snapshot)
        return tuple(
            tree for tree in found if any((node.kind, node.name) == (key.kind, key.name) for node in tree.children)
        )

    if output is Format.JSON:
        write_json([tree.dump() for tree in trees()])
    elif watch and sys.stdout.isatty():
        _live(trees)
    else:
        _print_trees(trees(), cluster.namespace)


def _print_trees(trees: tuple[Node, ...], namespace: str) -> None:
    if not trees:
        write(f"namespace {namespace} has no TrainingJob, ModelDeployment or DriftMonitor; `init` writes a first set")
    for tree in trees:
        if sys.stdout.isatty():
            console().print(rich_tree(tree))
        else:
            write("\n".join(plain(tree)))


def _live(trees: Callable[[], tuple[Node, ...]]) -> None:
    with Live(console=console(), refresh_per_second=4) as live:
        while True:
            live.update(Group(*(rich_tree(tree) for tree in trees())))
            time.sleep(_EVERY)


def why_command(
    context: typer.Context,
    resource: Annotated[str, typer.Argument(help="kind/name, such as md/churn.")],
    output: Output = Format.TEXT,
) -> None:
    """Explain the first cause of a resource's state, with the next step."""
    snapshot = read_snapshot(cluster_of(context))
    answer = why(find_key(resource, snapshot), snapshot)
    if output is Format.JSON:
        write_json(answer.dump())
    else:
        write("\n".join(_why_lines(answer)))


def _why_lines(answer: Answer) -> list[str]:
    if answer.well:
        return [f"{answer.object}: nothing is wrong"]
    lines = []
    for depth, link in enumerate(answer.links):
        lines.append(f"{'' if depth == 0 else 'because '}{link.object}: {link.reason}: {link.message}")
        lines += [f"    {line}" for line in link.evidence]
    last = answer.links[-1]
    return [*lines, *([f"next: {last.next_step}"] if last.next_step else [])]


def logs(
    context: typer.Context,
    resource: Annotated[str, typer.Argument(help="kind/name, or the name of a run such as churn-3.")],
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on until all containers have ended.")] = False,
    container: Annotated[list[str] | None, typer.Option("-c", "--container", help="Only these containers.")] = None,
    tail: Annotated[int | None, typer.Option(help="Newest lines of each container.", min=0)] = None,
) -> None:
    """Show the logs of a run across attempts, workers and sidecars, or of a resource's pods, merged by time."""
    cluster = cluster_of(context)
    snapshot = read_snapshot(cluster)
    owner, _, number = resource.rpartition("-")
    job = next((job for job in snapshot.training_jobs if job.metadata.name == owner and number.isdigit()), None)
    key = find_key(f"tj/{owner}" if job is not None else resource, snapshot)
    chosen = sources_of(
        snapshot.pods_of(key), number if job is not None else None, frozenset(container) if container else None
    )
    if not chosen:
        raise CliError(f"no pod of {resource} is left: logs end with their pods. See kubectl perennial why {resource}")
    for line in followed(cluster, chosen, tail) if follow else merged(cluster, chosen, tail):
        write(f"{line.time[:19]} [{line.source}] {line.text}")


def runs(
    context: typer.Context,
    job: Annotated[str | None, typer.Argument(help="Name of the TrainingJob. Default: all.")] = None,
    output: Output = Format.TEXT,
) -> None:
    """List runs, newest first, with trigger, result and metrics."""
    snapshot = read_snapshot(cluster_of(context))
    if job is not None:
        find_key(f"tj/{job}", snapshot)
    rows = [row for item in snapshot.training_jobs if job in {None, item.metadata.name} for row in run_rows(item)]
    if output is Format.JSON:
        write_json(rows)
    else:
        write_table(rows, ("run", "result", "trigger", "started", "attempts", "metrics", "artifact"))


def compare_command(
    context: typer.Context,
    left: Annotated[str, typer.Argument(help="Name of a run.")],
    right: Annotated[str, typer.Argument(help="Name of another run.")],
    output: Annotated[str, typer.Option("-o", "--output", help="text, json, or html: a page with plots.")] = "text",
    everything: Annotated[bool, typer.Option("--all", help="Also what is the same.")] = False,
) -> None:
    """Compare two runs: parameters, metrics, data, image and code side by side."""
    if output not in {"text", "json", "html"}:
        raise CliError(f"unknown format {output}: use text, json or html")
    jobs = read_snapshot(cluster_of(context)).training_jobs
    one, other = find_run(left, jobs), find_run(right, jobs)
    if output == "html":
        write(comparison_html(one, other).rstrip("\n"))
        return
    found = [item for item in compare(one, other) if everything or not item.same]
    rows = [{"group": item.group, "name": item.name, left: item.left, right: item.right} for item in found]
    if output == "json":
        write_json(rows)
    elif rows:
        write_table(rows, ("group", "name", left, right))
    else:
        write(f"{left} and {right} differ in nothing that was recorded")
