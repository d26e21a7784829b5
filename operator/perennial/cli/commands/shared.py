"""What the commands share: the cluster that the user has chosen, and options of one meaning."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from perennial.cli.cluster import Cluster, connect
from perennial.cli.output import Format

Output = Annotated[Format, typer.Option("-o", "--output", help="text, or json for programs.")]
Deployment = Annotated[str, typer.Argument(help="Name of the ModelDeployment.")]


@dataclass(frozen=True)
class Target:
    """The options that all commands share, as they were given."""

    kubeconfig: Path | None
    context: str | None
    namespace: str | None


def cluster_of(context: typer.Context) -> Cluster:
    """Connect to the cluster that the user has chosen."""
    chosen: Target = context.obj
    return connect(chosen.kubeconfig, chosen.context, chosen.namespace)
