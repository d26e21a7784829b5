"""What a TrainingJob or a ModelDeployment may ask for its pods: account, user, devices, shared memory, spread."""

from typing import Annotated

from pydantic import Field

from perennial.api.common.base import Model, Name, ObjectName, Quantity, Rule, exactly_one, list_map, rules
from perennial.api.common.pod import LabelKey, PodOptions

UserId = Annotated[int, Field(ge=0, le=2**31 - 1)]


class Security(Model):
    """As whom the users' containers run. All of them always run without capabilities and cannot gain privileges."""

    model_config = {
        "json_schema_extra": rules(
            Rule(
                rule="!(has(self.runAsNonRoot) && self.runAsNonRoot && has(self.runAsUser) && self.runAsUser == 0)",
                message="user 0 is root; set another runAsUser, or remove runAsNonRoot",
            ),
        )
    }

    run_as_non_root: bool | None = Field(
        None,
        description="True: the containers do not start as root, and the pods pass the restricted Pod Security "
        "standard. Unset: as the operator's settings have it (pods.allowRoot).",
    )
    run_as_user: UserId | None = Field(
        None, description="User of the containers. Unset: the image's own. 0, root, can be forbidden by the settings."
    )
    run_as_group: UserId | None = Field(None, description="Group of the containers. Unset: the image's own.")


class ClaimRef(Model):
    """A device that Kubernetes allocates by dynamic resource allocation (resource.k8s.io/v1)."""

    model_config = {"json_schema_extra": rules(exactly_one("resourceClaimName", "resourceClaimTemplateName"))}

    name: Name = Field(description="Name of the claim within the pod.")
    resource_claim_name: ObjectName | None = Field(
        None, description="A ResourceClaim in this resource's namespace, shared by all pods."
    )
    resource_claim_template_name: ObjectName | None = Field(
        None, description="A ResourceClaimTemplate in this resource's namespace: every pod gets a claim of its own."
    )


class Spread(Model):
    """How pods are spread over the nodes."""

    topology_key: Annotated[LabelKey, Field(min_length=1)] = Field(
        description="Label of nodes whose values are the domains, such as topology.kubernetes.io/zone."
    )
    max_skew: int = Field(1, ge=1, le=512, description="By how many pods two domains may differ.")
    required: bool = Field(False, description="True: pods wait where it cannot be kept. False: it is preferred.")


class PodExtras(PodOptions):
    """Where and how the pods that run users' code do so."""

    service_account_name: ObjectName | None = Field(
        None,
        description="ServiceAccount of the pods, such as one that a cloud gives storage rights to. Only those that the "
        "operator's settings list (pods.serviceAccounts) are taken. Unset: the namespace's default. No token of the "
        "API server is mounted either way.",
    )
    security: Security | None = Field(None, description="As whom the users' containers run. Unset: as the images say.")
    shared_memory: Quantity | None = Field(
        None,
        description="Size of /dev/shm in the main container, such as 8Gi, counted against its memory limit: data "
        "loaders and NCCL want it. Unset: the runtime's 64 MiB.",
    )
    resource_claims: Annotated[tuple[ClaimRef, ...], Field(max_length=8)] | None = Field(
        None,
        description="Devices for the main container by dynamic resource allocation (Kubernetes 1.34 or newer).",
        json_schema_extra=list_map("name"),
    )
    spread: Annotated[tuple[Spread, ...], Field(max_length=4)] | None = Field(
        None,
        description="How the pods are spread over nodes, zones or racks. Unset: workers of a training as the "
        "scheduler likes, serving pods over nodes where it can be.",
        json_schema_extra=list_map("topologyKey"),
    )
