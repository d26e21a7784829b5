"""What the operator and its users may do: one table, from which the chart's roles and the reference are made.

The operator never reads Secrets or ConfigMaps, never writes a spec of its users' resources, and gives nobody rights.
Its children carry `blockOwnerDeletion: false`, so it needs no right on finalizers even where
OwnerReferencesPermissionEnforcement is on.
"""

from dataclasses import dataclass

from perennial.core.kinds import (
    AUTOSCALER,
    CRON_JOB,
    DEPLOYMENT,
    DISRUPTION_BUDGET,
    EVENT,
    JOB,
    LEASE,
    MODEL_DEPLOYMENT,
    NETWORK_POLICY,
    POD,
    RESOURCES,
    SERVICE,
    Kind,
)
from perennial.generate.text import comment

WATCH = ("get", "list", "watch")
CHANGE = ("create", "delete", "deletecollection", "patch", "update")
APPLY = ("create", "patch")


@dataclass(frozen=True)
class Right:
    """Verbs on some kinds, with the reason for them."""

    kinds: tuple[Kind, ...]
    verbs: tuple[str, ...]
    reason: str
    subresource: str = ""

    @property
    def resources(self) -> tuple[str, ...]:
        """Return the resources as RBAC names them."""
        return tuple(f"{kind.plural}/{self.subresource}" if self.subresource else kind.plural for kind in self.kinds)

    @property
    def group(self) -> str:
        """Return the API group, as RBAC names it.

        Raises:
            ValueError: the kinds are of several API groups, which one rule would multiply.
        """
        groups = {kind.group for kind in self.kinds}
        if len(groups) != 1:
            raise ValueError(f"one right must stay within one API group: {sorted(groups)}")
        return groups.pop()


OPERATOR: tuple[Right, ...] = (
    Right(RESOURCES, WATCH, "The resources that it works for. Their specs are their users' alone."),
    Right(RESOURCES, ("update",), "What it saw and did.", subresource="status"),
    Right(
        (JOB,), (*WATCH, *APPLY, "delete"), "Attempts of a TrainingJob; replaced ones and those beyond history.runs go."
    ),
    Right(
        (CRON_JOB,),
        (*WATCH, *APPLY, "delete"),
        "Comparisons of a DriftMonitor; polls of a TrainingJob's inputs, which go when they are not wanted any more.",
    ),
    Right((DEPLOYMENT,), (*WATCH, *APPLY, "delete"), "Revisions of a ModelDeployment; replaced and failed ones go."),
    Right((AUTOSCALER,), (*WATCH, *APPLY, "delete"), "Scaling of a revision; goes with it."),
    Right((DISRUPTION_BUDGET,), (*WATCH, *APPLY), "Keeps a drained node from taking all pods that serve at once."),
    Right((NETWORK_POLICY,), (*WATCH, *APPLY, "delete"), "Who may call a model; goes when the spec asks for none."),
    Right(
        (SERVICE,),
        (*WATCH, *APPLY),
        "The stable address of a ModelDeployment; where the workers of a TrainingJob meet.",
    ),
    Right((POD,), ("list", "watch"), "Why a pod waits or failed, and what its agent left as termination message."),
    Right((EVENT,), ("create",), "Transitions, as `kubectl describe` shows them."),
)

LEADER_ELECTION: tuple[Right, ...] = (
    Right((LEASE,), ("get", "create", "update"), "Which replica acts; in the operator's own namespace only."),
)

VIEWER: tuple[Right, ...] = (
    Right(RESOURCES, WATCH, "Look at the resources and their status."),
    Right((MODEL_DEPLOYMENT,), ("get",), "Look at the number of replicas.", subresource="scale"),
)

EDITOR: tuple[Right, ...] = (
    Right(RESOURCES, CHANGE, "Make, change and delete resources; never their status."),
    Right((MODEL_DEPLOYMENT,), ("patch", "update"), "`kubectl scale`.", subresource="scale"),
)

TEMPLATES: dict[str, tuple[Right, ...]] = {
    "perennial.rules.operator": OPERATOR,
    "perennial.rules.leaderElection": LEADER_ELECTION,
    "perennial.rules.view": VIEWER,
    "perennial.rules.edit": EDITOR,
}
"""Named Helm templates, each with the rules of one role."""


def template() -> str:
    """Return the text of the chart's file with the rules of all roles."""
    return "\n".join(_definition(name, rights) for name, rights in TEMPLATES.items())


def _definition(name: str, rights: tuple[Right, ...]) -> str:
    rules = "".join(f"{line}\n" for right in rights for line in (*comment(right.reason), *_rule(right)))
    return f'{{{{- define "{name}" -}}}}\n{rules}{{{{- end }}}}\n'


def _rule(right: Right) -> tuple[str, str, str]:
    return (
        f'- apiGroups: ["{right.group}"]',
        f"  resources: [{', '.join(right.resources)}]",
        f"  verbs: [{', '.join(right.verbs)}]",
    )
