"""RBAC rights of the operator and of users: the source of the chart's roles and of the reference page.

The operator never reads Secrets, and of ConfigMaps only those of its audit log, in its own namespace. It never writes
the spec of a user's resource, and grants no rights. Its children have `blockOwnerDeletion: false`, so it needs no right
on finalizers even if the admission plugin OwnerReferencesPermissionEnforcement is enabled.
"""

from dataclasses import dataclass

from perennial.core.kinds import (
    AUTOSCALER,
    CONFIG_MAP,
    CRON_JOB,
    DEPLOYMENT,
    DISRUPTION_BUDGET,
    EVENT,
    GATEWAY,
    GATEWAY_CLASS,
    HTTP_ROUTE,
    JOB,
    LEASE,
    MODEL_DEPLOYMENT,
    NETWORK_POLICY,
    POD,
    REPLICA_SET,
    RESOURCES,
    SCALED_OBJECT,
    SERVICE,
    Kind,
)
from perennial.generate.text import comment

WATCH = ("get", "list", "watch")
CHANGE = ("create", "delete", "deletecollection", "patch", "update")
APPLY = ("create", "patch")


@dataclass(frozen=True)
class Right:
    """Verbs on resources of one API group, and their purpose."""

    kinds: tuple[Kind, ...]
    verbs: tuple[str, ...]
    reason: str
    subresource: str = ""

    @property
    def resources(self) -> tuple[str, ...]:
        """Return plural names, with `/subresource` if there is one."""
        return tuple(f"{kind.plural}/{self.subresource}" if self.subresource else kind.plural for kind in self.kinds)

    @property
    def group(self) -> str:
        """Return the API group of all kinds; empty for the core group.

        Raises:
            ValueError: the kinds belong to several API groups.
        """
        groups = {kind.group for kind in self.kinds}
        if len(groups) != 1:
            raise ValueError(f"a right must not span several API groups: {sorted(groups)}")
        return groups.pop()


OPERATOR: tuple[Right, ...] = (
    Right(RESOURCES, WATCH, "Reads the resources. It never writes their specs."),
    Right(RESOURCES, ("update",), "Writes the status of the resources.", subresource="status"),
    Right(
        (JOB,),
        (*WATCH, *APPLY, "delete"),
        "Creates the attempts of a TrainingJob; deletes replaced ones and those beyond history.",
    ),
    Right(
        (CRON_JOB,),
        (*WATCH, *APPLY, "delete"),
        "Schedules comparisons of a DriftMonitor and polls of a TrainingJob's inputs; deletes polls that are disabled.",
    ),
    Right(
        (DEPLOYMENT,),
        (*WATCH, *APPLY, "delete"),
        "Creates the revisions of a ModelDeployment; deletes replaced and failed ones.",
    ),
    Right((REPLICA_SET,), ("list", "watch"), "Finds the Deployment that a serving pod belongs to."),
    Right((AUTOSCALER,), (*WATCH, *APPLY, "delete"), "Scales a revision; deleted with it."),
    Right(
        (SCALED_OBJECT,),
        (*WATCH, *APPLY, "delete"),
        "Lets KEDA scale a revision whose spec.autoscaling has a trigger; deleted with it. Without KEDA in the cluster "
        "this right has no effect.",
    ),
    Right((DISRUPTION_BUDGET,), (*WATCH, *APPLY), "Limits how many serving pods a node drain evicts at once."),
    Right((NETWORK_POLICY,), (*WATCH, *APPLY, "delete"), "Limits who may call a model; deleted if the spec has none."),
    Right(
        (SERVICE,),
        (*WATCH, *APPLY, "delete"),
        "Provides the address of a ModelDeployment, of its revisions during a canary, and of a TrainingJob's workers; "
        "deletes the latter two when they are not needed any more.",
    ),
    Right(
        (HTTP_ROUTE,),
        (*WATCH, *APPLY, "delete"),
        "Routes requests from a gateway to the revisions of a ModelDeployment that has spec.route; deletes the route "
        "if it has none. Without the Gateway API in the cluster this right has no effect.",
    ),
    Right(
        (GATEWAY, GATEWAY_CLASS),
        ("get",),
        "Reads whether the gateway of spec.route can copy requests, before a rollout with strategy Shadow.",
    ),
    Right((POD,), ("list", "watch"), "Reads why a pod waits or has failed, and the agent's termination message."),
    Right((EVENT,), ("create",), "Reports transitions to `kubectl describe`."),
)

LEADER_ELECTION: tuple[Right, ...] = (Right((LEASE,), ("get", "create", "update"), "Elects the leader."),)

AUDIT: tuple[Right, ...] = (
    Right(
        (CONFIG_MAP,),
        ("get", "list", *APPLY, "delete"),
        "Keeps entries until they are in the audit log, and the last position of the log. Others it neither reads nor "
        "writes.",
    ),
    Right((JOB,), ("list", "create", "delete"), "Appends entries to the audit log, one Job at a time."),
    Right((POD,), ("list",), "Reads the termination message of these Jobs."),
)
"""In the operator's own namespace, if config.audit.uri is set."""

VIEWER: tuple[Right, ...] = (
    Right(RESOURCES, WATCH, "Read the resources and their status."),
    Right((MODEL_DEPLOYMENT,), ("get",), "Read the number of replicas.", subresource="scale"),
)

EDITOR: tuple[Right, ...] = (
    Right(RESOURCES, CHANGE, "Create, change and delete resources, but not their status."),
    Right((MODEL_DEPLOYMENT,), ("patch", "update"), "`kubectl scale`.", subresource="scale"),
)

APPROVER: tuple[Right, ...] = (
    Right(
        (MODEL_DEPLOYMENT,),
        ("get", "list", "watch", "patch", "approve"),
        "Set annotations, which the admission policy checks: approve a candidate, and pause or abort it. The policy "
        "refuses changes of the spec by users who may approve but not update.",
    ),
)

TEMPLATES: dict[str, tuple[Right, ...]] = {
    "perennial.rules.operator": OPERATOR,
    "perennial.rules.leaderElection": LEADER_ELECTION,
    "perennial.rules.audit": AUDIT,
    "perennial.rules.view": VIEWER,
    "perennial.rules.edit": EDITOR,
    "perennial.rules.approve": APPROVER,
}
"""Rights by the name of their Helm template, one per role."""


def template() -> str:
    """Render the Helm templates with the rules of all roles."""
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
