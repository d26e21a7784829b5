"""Commands by which people decide: about rollouts, and about training."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated

import typer

from perennial.api.modeldeployment.resource import ModelDeployment
from perennial.cli import acts
from perennial.cli.cluster import Cluster
from perennial.cli.commands.shared import Deployment, cluster_of
from perennial.cli.output import write
from perennial.core.kinds import MODEL_DEPLOYMENT, TRAINING_JOB

Revision = Annotated[str | None, typer.Option("--revision", help="Act only if this is the candidate's name.")]


def approve(context: typer.Context, name: Deployment, revision: Revision = None) -> None:
    """Approve the candidate of a ModelDeployment in your name, with the gates that are printed."""
    cluster = cluster_of(context)

    def act(resource: ModelDeployment) -> acts.Annotations:
        write("\n".join(acts.to_approve(resource, revision)))
        return acts.approve(resource, revision, cluster.user())

    _act(cluster, name, act, "approved")


def pause(context: typer.Context, name: Deployment) -> None:
    """Hold the rollouts of a ModelDeployment where they are."""
    _act(cluster_of(context), name, acts.pause, "paused")


def resume(context: typer.Context, name: Deployment) -> None:
    """Let the rollouts of a ModelDeployment go on."""
    _act(cluster_of(context), name, acts.resume, "resumed")


def promote(context: typer.Context, name: Deployment, revision: Revision = None) -> None:
    """Skip the rest of the candidate's steps and holds; an approval is still needed."""
    _act(cluster_of(context), name, lambda resource: acts.promote(resource, revision), "promoted")


def abort(context: typer.Context, name: Deployment, revision: Revision = None) -> None:
    """Abort the rollout of the candidate; the stable revision keeps serving."""
    _act(cluster_of(context), name, lambda resource: acts.abort(resource, revision), "aborted")


def retry(context: typer.Context, name: Deployment) -> None:
    """Roll a failed revision out again."""
    _act(cluster_of(context), name, lambda resource: acts.retry(resource, datetime.now(UTC)), "retried")


def rollback(context: typer.Context, name: Deployment) -> None:
    """Return to the previous revision, while its pods are kept."""
    _act(cluster_of(context), name, acts.rollback, "rolled back")


def retrain(context: typer.Context, name: Annotated[str, typer.Argument(help="Name of the TrainingJob.")]) -> None:
    """Start a run of a TrainingJob."""
    cluster = cluster_of(context)
    cluster.annotate(TRAINING_JOB, name, acts.retrain(datetime.now(UTC), cluster.user()))
    write(f"trainingjob/{name}: a run is asked for; kubectl perennial status tj/{name} -w shows it")


def _act(cluster: Cluster, name: str, act: Callable[[ModelDeployment], acts.Annotations], done: str) -> None:
    resource = ModelDeployment.model_validate(cluster.get(MODEL_DEPLOYMENT, name))
    wanted = act(resource)
    cluster.annotate(MODEL_DEPLOYMENT, name, wanted)
    told = ", ".join(f"{key}={value}" if value is not None else f"{key} removed" for key, value in wanted.items())
    write(f"modeldeployment/{name} {done}: {told}")
