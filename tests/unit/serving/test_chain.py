"""The chain of a training run goes with its model through the rollout, into marks, status and history."""

from __future__ import annotations

from perennial.api.kubernetes import Deployment
from perennial.api.modeldeployment.revisions import Revision
from perennial.serving.annotations import annotations_of, recorded_revision

SINCE = "2026-01-31T12:00:00Z"
REVISION = Revision(
    name="churn-abc",
    hash="abc",
    uri="s3://models/churn/versions/abababababab/",
    digest="sha256:" + "ab" * 32,
    run="churn-2",
    chain="churn-drift-29384750",
    since=SINCE,
)


def deployment(revision: Revision) -> Deployment:
    annotations = annotations_of(revision, 8080, "agent:1")
    labels = {"perennial.dev/revision": revision.hash}
    return Deployment.model_validate(
        {"metadata": {"name": revision.name, "annotations": annotations, "labels": labels}}
    )


def test_a_revision_is_found_again_with_its_chain() -> None:
    assert recorded_revision(deployment(REVISION), SINCE) == REVISION


def test_a_revision_without_a_chain_stays_without() -> None:
    bare = REVISION.model_copy(update={"chain": None})

    assert "perennial.dev/chain" not in annotations_of(bare, 8080, "agent:1")
    assert recorded_revision(deployment(bare), SINCE) == bare
