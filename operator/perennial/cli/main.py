"""`kubectl perennial`: the options that all commands share, and the table of commands."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from perennial.cli.commands import acts, documents, local, views
from perennial.cli.commands.shared import Target
from perennial.cli.errors import CliError

app = typer.Typer(
    name="kubectl perennial",
    help="Shows the loop of training, serving and monitoring, explains causes, and carries out acts of people.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

COMMANDS: tuple[tuple[str, Callable[..., None]], ...] = (
    ("status", views.status),
    ("why", views.why_command),
    ("logs", views.logs),
    ("runs", views.runs),
    ("compare", views.compare_command),
    ("approve", acts.approve),
    ("pause", acts.pause),
    ("resume", acts.resume),
    ("promote", acts.promote),
    ("abort", acts.abort),
    ("retry", acts.retry),
    ("rollback", acts.rollback),
    ("retrain", acts.retrain),
    ("report", documents.report_command),
    ("trace", documents.trace_command),
    ("evidence", documents.evidence),
    ("dashboard", local.dashboard),
    ("support-bundle", documents.support_bundle),
    ("init", local.init),
    ("version", local.version),
)
"""Name and function of each command, in the order of `--help`."""


@app.callback()
def target(
    context: typer.Context,
    namespace: Annotated[str | None, typer.Option("-n", "--namespace", help="Namespace; that of the context.")] = None,
    kubeconfig: Annotated[Path | None, typer.Option("--kubeconfig", help="Kubeconfig file, as for kubectl.")] = None,
    cluster: Annotated[str | None, typer.Option("--context", help="Context of the kubeconfig.")] = None,
) -> None:
    """Take the options that all commands share; they come before the command."""
    context.obj = Target(kubeconfig, cluster, namespace)


def _registered() -> None:
    for name, command in COMMANDS:
        app.command(name=name)(command)


_registered()


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
