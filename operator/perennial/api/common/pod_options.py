"""Pod options of TrainingJobs and ModelDeployments: account, user, devices, shared memory, spread."""

from typing import Annotated

from pydantic import Field

from perennial.api.common.base import Model, Name, ObjectName, Quantity, Rule, exactly_one, list_map, rules
from perennial.api.common.pod import LabelKey, PodOptions

Annotations = Annotated[
    dict[str, Annotated[str, Field(max_length=1024)]],
    Field(max_length=32),
]
"""Annotations whose keys the installation's settings must allow."""

PodLabels = Annotated[dict[str, Annotated[str, Field(max_length=63)]], Field(max_length=32)]
"""Labels whose keys the installation's settings must allow."""

UserId = Annotated[int, Field(ge=0, le=2**31 - 1)]


class Security(Model):
    """User and group of the containers that run user code. They always drop all capabilities and cannot escalate."""

    model_config = {
        "json_schema_extra": rules(
            Rule(
                rule="!(has(self.runAsNonRoot) && self.runAsNonRoot && has(self.runAsUser) && self.runAsUser == 0)",
                message="runAsUser 0 is root; set another user, or remove runAsNonRoot",
            ),
        )
    }

    run_as_non_root: bool | None = Field(
        None,
        description="true: the containers must not run as root, and the pods meet the restricted Pod Security "
        "Standard. false: they may run as root, if the operator's settings allow it (pods.allowRoot). Unset: true for "
        "a TrainingJob; for a ModelDeployment true if the settings forbid root, since some serving images run as root.",
    )
    run_as_user: UserId | None = Field(
        None,
        description="User ID of the containers; needed with runAsNonRoot if the image's user is root or not a number. "
        "Unset: the image's user. The operator's settings can forbid 0 (root).",
    )
    run_as_group: UserId | None = Field(None, description="Group ID of the containers. Unset: the image's group.")


class ClaimRef(Model):
    """A device claim of dynamic resource allocation (resource.k8s.io/v1)."""

    model_config = {"json_schema_extra": rules(exactly_one("resourceClaimName", "resourceClaimTemplateName"))}

    name: Name = Field(description="Name of the claim within the pod.")
    resource_claim_name: ObjectName | None = Field(
        None, description="A ResourceClaim in this resource's namespace, shared by all pods."
    )
    resource_claim_template_name: ObjectName | None = Field(
        None, description="A ResourceClaimTemplate in this resource's namespace: each pod gets its own claim."
    )


class Spread(Model):
    """A topology spread constraint of the pods."""

    topology_key: Annotated[LabelKey, Field(min_length=1)] = Field(
        description="Node label whose values are the domains, such as topology.kubernetes.io/zone."
    )
    max_skew: int = Field(1, ge=1, le=512, description="Maximum difference in the number of pods between two domains.")
    required: bool = Field(
        False,
        description="true: pods that would violate the constraint stay pending. false: the constraint is preferred.",
    )


ServiceAccountName = Annotated[
    ObjectName | None,
    Field(
        description="ServiceAccount of the pods, such as one with cloud storage permissions. The operator's settings "
        "must allow it (pods.serviceAccounts). Unset: the namespace's default. No API server token is mounted in "
        "either case.",
    ),
]


class PodExtras(PodOptions):
    """Options of pods that run user code."""

    service_account_name: ServiceAccountName = None
    security: Security | None = Field(
        None, description="User and group of the containers that run user code. Unset: those of the images."
    )
    shared_memory: Quantity | None = Field(
        None,
        description="Size of /dev/shm in the main container, such as 8Gi, counted against its memory limit. Needed "
        "by data loaders and NCCL. Unset: the container runtime's 64 MiB.",
    )
    resource_claims: Annotated[tuple[ClaimRef, ...], Field(max_length=8)] | None = Field(
        None,
        description="Devices of the main container, by dynamic resource allocation (Kubernetes 1.34 or newer).",
        json_schema_extra=list_map("name"),
    )
    spread: Annotated[tuple[Spread, ...], Field(max_length=4)] | None = Field(
        None,
        description="How the pods are spread over nodes, zones or racks. Unset: training workers are not constrained, "
        "serving pods prefer different nodes.",
        json_schema_extra=list_map("topologyKey"),
    )
