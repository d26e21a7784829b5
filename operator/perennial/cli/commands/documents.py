"""Commands that bring files and records to a person, by a short-lived pod or own credentials."""

import sys
import time
import webbrowser
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from perennial.api.driftmonitor.resource import DriftMonitor
from perennial.cli import bundle, report
from perennial.cli.commands.shared import Deployment, Output, cluster_of
from perennial.cli.errors import CliError
from perennial.cli.lineage.audit import audit_source
from perennial.cli.lineage.chain import as_json, chain, payload_lines
from perennial.cli.lineage.evidence import (
    evidence_by_own_credentials,
    evidence_by_pod,
    evidence_config,
    evidence_links,
    records,
)
from perennial.cli.lineage.evidence_zip import SUMS
from perennial.cli.lineage.evidence_zip import bundle as evidence_bundle
from perennial.cli.lineage.facts import clean, lines_of
from perennial.cli.lineage.missing import missing
from perennial.cli.lineage.trace import read_surroundings, trace_by_own_credentials, trace_by_pod, trace_config
from perennial.cli.output import Format, write, write_json
from perennial.cli.snapshot import read_snapshot
from perennial.core.kinds import DRIFT_MONITOR
from perennial.core.times import format_time, parse_duration


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
    cluster = cluster_of(context)
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
    cluster = cluster_of(context)
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


def evidence(  # noqa: PLR0917 - typer reads options from the signature
    context: typer.Context,
    name: Deployment,
    model: Annotated[
        str | None, typer.Option("--model", help="Digest of the model. Default: the one that serves.")
    ] = None,
    file: Annotated[Path, typer.Option("-f", "--file", help="Where to write it.")] = Path("perennial-evidence.zip"),
    own: Annotated[
        bool, typer.Option("--own-credentials", help="Read from here with your own S3 credentials, without a pod.")
    ] = False,
    operator: Annotated[
        str, typer.Option("--operator-namespace", help="Namespace of the operator, which knows the audit log.")
    ] = "perennial-system",
) -> None:
    """Collect what is recorded about a model in one zip: origin, data, approvals, verdicts, period of use."""
    cluster = cluster_of(context)
    around = read_surroundings(cluster, name)
    audit = audit_source(cluster, operator)
    config = evidence_config(around, model, None if isinstance(audit, str) else audit)
    found = evidence_by_own_credentials(config) if own else evidence_by_pod(cluster, around, config)
    links = evidence_links(found, around, config.digest, audit if isinstance(audit, str) else "")
    title = f"Evidence about {config.digest} of ModelDeployment {config.namespace}/{name}"
    packed, sums = evidence_bundle(title, format_time(datetime.now(UTC)), links, found, records(around, config.digest))
    file.write_bytes(packed)
    write(f"{file} ({len(packed)} bytes)")
    write(f"sha256 of its {SUMS}: {sums}")
    write("keep this line apart from the file: with it, every later change of the file is seen")
    for problem in found.problems:
        write(clean(f"not read: {problem}"))


def support_bundle(
    context: typer.Context,
    file: Annotated[Path, typer.Option("-f", "--file", help="Where to write it.")] = Path("perennial-bundle.tar.gz"),
) -> None:
    """Collect resources, children, Events and logs of a namespace; what may be secret is masked."""
    cluster = cluster_of(context)
    file.write_bytes(bundle.archive(bundle.entries(cluster, read_snapshot(cluster)), time.time()))
    write(f"{file}: look through it before you pass it on; masking knows names, not meanings")
