"""The parts of a pod that its hardware and its account ask for, and what the settings forbid of them."""

from typing import Any

from perennial.api.common.pod_options import PodExtras
from perennial.api.contract.settings import PodRules
from perennial.core.podspec import contained, resources_of

_SHARED_MEMORY = "shared-memory"


def pod_extras(spec: PodExtras, labels: dict[str, str]) -> dict[str, Any]:
    """Return the pod's fields for account, devices and spread; `labels` tell the pods that are spread."""
    extras: dict[str, Any] = {}
    if spec.service_account_name:
        extras["serviceAccountName"] = spec.service_account_name
    if spec.resource_claims:
        extras["resourceClaims"] = [claim.dump() for claim in spec.resource_claims]
    if spec.spread:
        extras["topologySpreadConstraints"] = [
            {
                "topologyKey": item.topology_key,
                "maxSkew": item.max_skew,
                "whenUnsatisfiable": "DoNotSchedule" if item.required else "ScheduleAnyway",
                "labelSelector": {"matchLabels": labels},
            }
            for item in spec.spread
        ]
    return extras


def code_resources(spec: PodExtras) -> dict[str, Any]:
    """Return the main container's `resources`, claims included, or nothing."""
    found = resources_of(spec)
    if not spec.resource_claims:
        return found
    return {
        "resources": {**found.get("resources", {}), "claims": [{"name": item.name} for item in spec.resource_claims]}
    }


def shared_memory_volume(spec: PodExtras) -> list[dict[str, Any]]:
    """Return the volume behind /dev/shm, or nothing."""
    if spec.shared_memory is None:
        return []
    return [{"name": _SHARED_MEMORY, "emptyDir": {"medium": "Memory", "sizeLimit": spec.shared_memory}}]


def shared_memory_mount(spec: PodExtras) -> list[dict[str, Any]]:
    """Return where that volume is mounted, or nothing."""
    path = "/dev/shm"  # noqa: S108 - where programs look for shared memory
    return [{"name": _SHARED_MEMORY, "mountPath": path}] if spec.shared_memory is not None else []


def users_security(spec: PodExtras, rules: PodRules) -> dict[str, Any]:
    """Return the security context of a user's container."""
    wanted = spec.security.dump() if spec.security else {}
    return {**contained(), **({} if rules.allow_root else {"runAsNonRoot": True}), **wanted}


def refusal(spec: PodExtras, rules: PodRules) -> str | None:
    """Return why the operator's settings forbid these pods, and what to do; None where they do not."""
    account = spec.service_account_name
    if account is not None and account not in rules.service_accounts:
        return (
            f"spec.serviceAccountName: {account} is none that pods may use; remove it, or have the administrator add "
            "it to config.pods.serviceAccounts in the chart's values"
        )
    loose = spec.security is not None and (spec.security.run_as_user == 0 or spec.security.run_as_non_root is False)
    if loose and not rules.allow_root:
        return (
            "spec.security asks for root, which the operator's settings forbid; set another runAsUser, remove "
            "runAsNonRoot: false, or have the administrator set config.pods.allowRoot"
        )
    return None
