"""What people say by hand while a rollout is under way: approve, pause, or abort it, each by an annotation.

An annotation that names a revision speaks of that one alone, so none has to be taken off again. GitOps tools leave
annotations alone that their manifests do not have.
"""

from dataclasses import dataclass

from perennial.api.modeldeployment import ModelDeployment, Revision
from perennial.core.waiting import clean

APPROVE = "perennial.dev/approve"
"""Names the revision that may take over."""
APPROVED_BY = "perennial.dev/approved-by"
"""Who says so. The chart's admission policy holds it to the user who makes the request."""
PAUSE = "perennial.dev/pause"
"""While it is "true", nothing is promoted."""
ABORT = "perennial.dev/abort"
"""Names a revision that is not wanted: a candidate fails, a revision that has just taken over gives way again."""

_LONGEST = 253


@dataclass(frozen=True)
class Controls:
    """What the annotations say. Untrusted text: compared, cleaned, never run."""

    approved: str | None = None
    approved_by: str | None = None
    paused: bool = False
    aborted: str | None = None

    def approves(self, revision: Revision) -> bool:
        """Tell whether somebody has approved this very revision, and has said who they are."""
        return self.approved == revision.name and self.approved_by is not None

    def aborts(self, revision: Revision | None) -> bool:
        """Tell whether somebody does not want this very revision."""
        return revision is not None and self.aborted == revision.name


def controls_of(resource: ModelDeployment) -> Controls:
    """Return what the annotations say."""
    said = resource.metadata.annotations
    return Controls(
        approved=_text(said.get(APPROVE)),
        approved_by=_text(said.get(APPROVED_BY)),
        paused=said.get(PAUSE, "").strip().lower() == "true",
        aborted=_text(said.get(ABORT)),
    )


def how_to_approve(resource: ModelDeployment, revision: Revision) -> str:
    """Return the command that approves a revision."""
    meta = resource.metadata
    return (
        f"kubectl annotate modeldeployment -n {meta.namespace} {meta.name} --overwrite "
        f"{APPROVE}={revision.name} {APPROVED_BY}=<your user name>"
    )


def _text(value: str | None) -> str | None:
    return clean(value, _LONGEST) or None if value is not None else None
