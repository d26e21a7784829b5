"""Commands that work on this machine."""

import signal
import sys
import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from perennial import __version__
from perennial.cli import scaffold
from perennial.cli.commands.shared import cluster_of
from perennial.cli.dashboard.server import doorway, open_server
from perennial.cli.errors import CliError
from perennial.cli.output import write


def dashboard(
    context: typer.Context,
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1. Default: a free one.", min=0, max=65535)] = 0,
    own: Annotated[
        bool, typer.Option("--own-credentials", help="Show reports inline, read with your own S3 credentials.")
    ] = False,
    browse: Annotated[bool, typer.Option("--open/--no-open", help="Open it in a browser.")] = True,
) -> None:
    """Show the loops on a read-only page of this machine, until interrupted."""
    server = open_server(cluster_of(context), port, own_credentials=own)
    write(f"{server.address}\nOnly a browser with this address is let in. Ctrl-C ends it.")
    sys.stdout.flush()
    door = doorway(server.address) if browse and sys.stdout.isatty() else None
    # As by Ctrl-C, also where that is ignored: a shell starts background jobs so.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
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


def version() -> None:
    """Show the release of the plugin."""
    write(__version__)
