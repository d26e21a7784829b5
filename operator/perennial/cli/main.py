"""`kubectl perennial`: the commands. Each parses its arguments, asks the cluster, prints what a pure function made."""

import sys
import time
import webbrowser
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Group
from rich.live import Live

from perennial import __version__
from perennial.api.driftmonitor.resource import DriftMonitor
from perennial.api.modeldeployment.resource import ModelDeployment
from perennial.cli import acts, bundle, report, scaffold
from perennial.cli.chain import as_json, chain, payload_lines
from perennial.cli.cluster import Cluster, connect
from perennial.cli.dashboard.server import doorway, open_server
from perennial.cli.errors import CliError
from perennial.cli.evidence import (
    evidence_by_own_credentials,
    evidence_by_pod,
    evidence_config,
    evidence_links,
    records,
)
from perennial.cli.evidence_zip import SUMS
from perennial.cli.evidence_zip import bundle as evidence_bundle
from perennial.cli.facts import clean, lines_of
from perennial.cli.logs import followed, merged, sources_of
from perennial.cli.loop import loops
from perennial.cli.missing import missing
from perennial.cli.nodes import Node, plain, rich_tree
from perennial.cli.output import Format, console, write, write_json, write_table
from perennial.cli.runs import compare, comparison_html, find_run, run_rows
from perennial.cli.snapshot import find_key, read_snapshot
from perennial.cli.trace import read_surroundings, trace_by_own_credentials, trace_by_pod, trace_config
from perennial.cli.why import Answer, why
from perennial.core.kinds import DRIFT_MONITOR, MODEL_DEPLOYMENT, TRAINING_JOB
from perennial.core.times import format_time, parse_duration

app = typer.Typer(
    name="kubectl perennial",
    help="Shows the loop of training, serving and monitoring, explains causes, and carries out acts of people.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

Output = Annotated[Format, typer.Option("-o", "--output", help="text, or json for programs.")]
Watch = Annotated[bool, typer.Option("-w", "--watch", help="Redraw every two seconds until interrupted.")]
Deployment = Annotated[str, typer.Argument(help="Name of the ModelDeployment.")]
Revision = Annotated[str | None, typer.Option("--revision", help="Act only if this is the candidate's name.")]
_EVERY = 2.0


@dataclass(frozen=True)
class _Target:
    kubeconfig: Path | None
    context: str | None
    namespace: str | None


@app.callback()
def target(
    context: typer.Context,
    namespace: Annotated[str | None, typer.Option("-n", "--namespace", help="Namespace; that of the context.")] = None,
    kubeconfig: Annotated[Path | None, typer.Option("--kubeconfig", help="Kubeconfig file, as for kubectl.")] = None,
    cluster: Annotated[str | None, typer.Option("--context", help="Context of the kubeconfig.")] = None,
) -> None:
    """Take the options that all commands share; they come before the command."""
    context.obj = _Target(kubeconfig, cluster, namespace)


def _cluster(context: typer.Context) -> Cluster:
    chosen: _Target = context.obj
    return connect(chosen.kubeconfig, chosen.context, chosen.namespace)


@app.command()
def status(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(help="kind/name: show only its loop.")] = None,
    watch: Watch = False,
    output: Output = Format.TEXT,
) -> None:
    """Show the loop of each model: verdict, run with attempt and pods, artifact, candidate, stable."""
    cluster = _cluster(context)

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


@app.command(name="why")
def why_command(
    context: typer.Context,
    resource: Annotated[str, typer.Argument(help="kind/name, such as md/churn.")],
    output: Output = Format.TEXT,
) -> None:
    """Explain the first cause of a resource's state, with the next step."""
    snapshot = read_snapshot(_cluster(context))
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


@app.command()
def logs(
    context: typer.Context,
    resource: Annotated[str, typer.Argument(help="kind/name, or the name of a run such as churn-3.")],
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on until all containers have ended.")] = False,
    container: Annotated[list[str] | None, typer.Option("-c", "--container", help="Only these containers.")] = None,
    tail: Annotated[int | None, typer.Option(help="Newest lines of each container.", min=0)] = None,
) -> None:
    """Show the logs of a run across attempts, workers and sidecars, or of a resource's pods, merged by time."""
    cluster = _cluster(context)
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


@app.command()
def runs(
    context: typer.Context,
    job: Annotated[str | None, typer.Argument(help="Name of the TrainingJob. Default: all.")] = None,
    output: Output = Format.TEXT,
) -> None:
    """List runs, newest first, with trigger, result and metrics."""
    snapshot = read_snapshot(_cluster(context))
    if job is not None:
        find_key(f"tj/{job}", snapshot)
    rows = [row for item in snapshot.training_jobs if job in {None, item.metadata.name} for row in run_rows(item)]
    if output is Format.JSON:
        write_json(rows)
    else:
        write_table(rows, ("run", "result", "trigger", "started", "attempts", "metrics", "artifact"))


@app.command(name="compare")
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
    jobs = read_snapshot(_cluster(context)).training_jobs
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


@app.command()
def approve(context: typer.Context, name: Deployment, revision: Revision = None) -> None:
    """Approve the candidate of a ModelDeployment in your name, with the gates that are printed."""
    cluster = _cluster(context)

    def act(resource: ModelDeployment) -> acts.Annotations:
        write("\n".join(acts.to_approve(resource, revision)))
        return acts.approve(resource, revision, cluster.user())

    _act(cluster, name, act, "approved")


@app.command()
def pause(context: typer.Context, name: Deployment) -> None:
    """Hold the rollouts of a ModelDeployment where they are."""
    _act(_cluster(context), name, acts.pause, "paused")


@app.command()
def resume(context: typer.Context, name: Deployment) -> None:
    """Let the rollouts of a ModelDeployment go on."""
    _act(_cluster(context), name, acts.resume, "resumed")


@app.command()
def promote(context: typer.Context, name: Deployment, revision: Revision = None) -> None:
    """Skip the rest of the candidate's steps and holds; an approval is still needed."""
    _act(_cluster(context), name, lambda resource: acts.promote(resource, revision), "promoted")


@app.command()
def abort(context: typer.Context, name: Deployment, revision: Revision = None) -> None:
    """Abort the rollout of the candidate; the stable revision keeps serving."""
    _act(_cluster(context), name, lambda resource: acts.abort(resource, revision), "aborted")


@app.command()
def retry(context: typer.Context, name: Deployment) -> None:
    """Roll a failed revision out again."""
    _act(_cluster(context), name, lambda resource: acts.retry(resource, datetime.now(UTC)), "retried")


@app.command()
def rollback(context: typer.Context, name: Deployment) -> None:
    """Return to the previous revision, while its pods are kept."""
    _act(_cluster(context), name, acts.rollback, "rolled back")


@app.command()
def retrain(context: typer.Context, name: Annotated[str, typer.Argument(help="Name of the TrainingJob.")]) -> None:
    """Start a run of a TrainingJob."""
    cluster = _cluster(context)
    cluster.annotate(TRAINING_JOB, name, acts.retrain(datetime.now(UTC), cluster.user()))
    write(f"trainingjob/{name}: a run is asked for; kubectl perennial status tj/{name} -w shows it")


def _act(cluster: Cluster, name: str, act: Callable[[ModelDeployment], acts.Annotations], done: str) -> None:
    resource = ModelDeployment.model_validate(cluster.get(MODEL_DEPLOYMENT, name))
    wanted = act(resource)
    cluster.annotate(MODEL_DEPLOYMENT, name, wanted)
    told = ", ".join(f"{key}={value}" if value is not None else f"{key} removed" for key, value in wanted.items())
    write(f"modeldeployment/{name} {done}: {told}")


@app.command(name="report")
def report_command(
    context: typer.Context,
    monitor: Annotated[str, typer.Argument(help="Name of the DriftMonitor.")],
    file: Annotated[Path | None, typer.Option("-f", "--file", help="Where to write it; - for standard output.")] = None,
    own: Annotated[
        bool, typer.Option("--own-credentials", help="Read it from here with your own S3 credentials, without a pod.")
    ] = False,
    browse: Annotated[bool, typer.Option("--open/--no-open", help="Open it in a browser.")] = True,
) -> None:
    """Fetch a monitor's newest report by a short-lived pod, and open it."""
    cluster = _cluster(context)
    resource = DriftMonitor.model_validate(cluster.get(DRIFT_MONITOR, monitor))
    page = report.fetch_by_own_credentials(resource) if own else report.fetch_by_pod(cluster, resource)
    if str(file) == "-":
        sys.stdout.buffer.write(page)
        return
    path = file or Path(f"{monitor}-report.html")
    path.write_bytes(page)
    write(f"{path} ({len(page)} bytes), from {report.report_uri(resource)}")
    if browse and sys.stdout.isatty():
        webbrowser.open(path.resolve().as_uri())


@app.command(name="trace")
def trace_command(  # noqa: PLR0917 - typer reads options from the signature
    context: typer.Context,
    name: Deployment,
    prediction: Annotated[str, typer.Argument(help="Id of the request: as captured, or in the header with the id.")],
    since: Annotated[str, typer.Option(help="How far back to search, such as 24h or 7d.")] = "24h",
    payload: Annotated[bool, typer.Option("--show-payload", help="Also print the request and the response.")] = False,
    own: Annotated[
        bool, typer.Option("--own-credentials", help="Search from here with your own S3 credentials, without a pod.")
    ] = False,
    output: Output = Format.TEXT,
) -> None:
    """Follow one prediction to its model, training, data, rollout and verdicts, by a short-lived pod."""
    try:
        period = parse_duration(since)
    except ValueError as error:
        raise CliError(f"--since: {error}") from error
    cluster = _cluster(context)
    around = read_surroundings(cluster, name)
    config = trace_config(around, prediction, period, datetime.now(UTC), payload=payload)
    traced = trace_by_own_credentials(config) if own else trace_by_pod(cluster, around, config)
    links = chain(traced, around)
    if output is Format.JSON:
        write_json(as_json(traced, links))
    elif traced.request is None:
        write("\n".join(map(clean, missing(traced, around, prediction))))
    else:
        write("\n".join((*lines_of(links), *(map(clean, payload_lines(traced.request)) if payload else ()))))
    if traced.request is None:
        raise typer.Exit(1)


@app.command()
def evidence(
    context: typer.Context,
    name: Deployment,
    model: Annotated[
        str | None, typer.Option("--model", help="Digest of the model. Default: the one that serves.")
    ] = None,
    file: Annotated[Path, typer.Option("-f", "--file", help="Where to write it.")] = Path("perennial-evidence.zip"),
    own: Annotated[
        bool, typer.Option("--own-credentials", help="Read from here with your own S3 credentials, without a pod.")
    ] = False,
) -> None:
    """Collect what is recorded about a model in one zip: origin, data, approvals, verdicts, period of use."""
    cluster = _cluster(context)
    around = read_surroundings(cluster, name)
    config = evidence_config(around, model)
    found = evidence_by_own_credentials(config) if own else evidence_by_pod(cluster, around, config)
    links = evidence_links(found, around, config.digest)
    title = f"Evidence about {config.digest} of ModelDeployment {config.namespace}/{name}"
    packed, sums = evidence_bundle(title, format_time(datetime.now(UTC)), links, found, records(around, config.digest))
    file.write_bytes(packed)
    write(f"{file} ({len(packed)} bytes)")
    write(f"sha256 of its {SUMS}: {sums}")
    write("keep this line apart from the file: with it, every later change of the file is seen")
    for problem in found.problems:
        write(clean(f"not read: {problem}"))


@app.command()
def dashboard(
    context: typer.Context,
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1. Default: a free one.", min=0, max=65535)] = 0,
    own: Annotated[
        bool, typer.Option("--own-credentials", help="Show reports inline, read with your own S3 credentials.")
    ] = False,
    browse: Annotated[bool, typer.Option("--open/--no-open", help="Open it in a browser.")] = True,
) -> None:
    """Show the loops on a read-only page of this machine, until interrupted."""
    server = open_server(_cluster(context), port, own_credentials=own)
    write(f"{server.address}\nOnly a browser with this address is let in. Ctrl-C ends it.")
    sys.stdout.flush()
    door = doorway(server.address) if browse and sys.stdout.isatty() else None
    try:
        if door is not None:
            webbrowser.open(door.as_uri())
        server.serve_forever()
    except KeyboardInterrupt:
        write("ended")
    finally:
        server.server_close()
        if door is not None:
            door.unlink(missing_ok=True)


@app.command(name="support-bundle")
def support_bundle(
    context: typer.Context,
    file: Annotated[Path, typer.Option("-f", "--file", help="Where to write it.")] = Path("perennial-bundle.tar.gz"),
) -> None:
    """Collect resources, children, Events and logs of a namespace; what may be secret is masked."""
    cluster = _cluster(context)
    file.write_bytes(bundle.archive(bundle.entries(cluster, read_snapshot(cluster)), time.time()))
    write(f"{file}: look through it before you pass it on; masking knows names, not meanings")


@app.command()
def init(  # noqa: PLR0917 - typer reads options from the signature
    name: Annotated[str, typer.Option(prompt="Name of the model")],
    image: Annotated[str, typer.Option(prompt="Image of the training code")],
    data: Annotated[str, typer.Option(prompt="Training data, s3://bucket/path/")],
    bucket: Annotated[str, typer.Option(prompt="Where models, captures and reports go, s3://bucket/path/")],
    runtime: Annotated[str, typer.Option(prompt="Model server")] = "mlserver-sklearn",
    endpoint: Annotated[str, typer.Option(prompt="S3 endpoint, empty for AWS")] = "",
    secret: Annotated[str, typer.Option(prompt="Secret with the S3 keys, empty for the pods' identity")] = "",
    file: Annotated[Path | None, typer.Option("-f", "--file", help="Where to write; standard output if unset.")] = None,
) -> None:
    """Write a first TrainingJob, ModelDeployment and DriftMonitor from a few questions."""
    text = scaffold.as_yaml(scaffold.manifests(scaffold.Answers(name, image, data, bucket, runtime, endpoint, secret)))
    if file is None:
        write(text.rstrip("\n"))
    else:
        if file.exists():
            raise CliError(f"{file} exists: choose another name or remove it")
        file.write_text(text)
        write(f"{file}: kubectl apply -f {file}")


@app.command()
def version() -> None:
    """Show the release of the plugin."""
    write(__version__)


def main() -> None:
    """Run the plugin; a failure is one line on standard error and exit status 1."""
    try:
        app(prog_name="kubectl perennial")
    except CliError as error:
        sys.stderr.write(f"error: {error}\n")
        raise SystemExit(1) from error
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except BrokenPipeError:
        # The reader, such as `head`, has seen enough.
        sys.stderr.close()
        raise SystemExit(0) from None
