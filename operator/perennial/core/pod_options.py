"""Pod fields for account, devices, shared memory and spread, and what the operator's settings forbid of them."""

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any

from perennial.api.common.pod_options import PodExtras
from perennial.api.contract.settings import PodRules
from perennial.core.podspec import contained, resources_of

_SHARED_MEMORY = "shared-memory"


def pod_extras(spec: PodExtras, labels: dict[str, str]) -> dict[str, Any]:
    """Build the pod fields for account, devices and spread; `labels` select the pods to spread."""
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
    """Build the main container's `resources` with its device claims; empty if the spec sets none."""
    found = resources_of(spec)
    if not spec.resource_claims:
        return found
    return {
        "resources": {**found.get("resources", {}), "claims": [{"name": item.name} for item in spec.resource_claims]}
    }


def shared_memory_volume(spec: PodExtras) -> list[dict[str, Any]]:
    """Build the volume of /dev/shm; empty if the spec does not set its size."""
    if spec.shared_memory is None:
        return []
    return [{"name": _SHARED_MEMORY, "emptyDir": {"medium": "Memory", "sizeLimit": spec.shared_memory}}]


def shared_memory_mount(spec: PodExtras) -> list[dict[str, Any]]:
    """Build the mount of /dev/shm; empty if the spec does not set its size."""
    path = "/dev/shm"  # noqa: S108 - where programs look for shared memory
    return [{"name": _SHARED_MEMORY, "mountPath": path}] if spec.shared_memory is not None else []


def users_security(spec: PodExtras, rules: PodRules, *, any_user: bool = False) -> dict[str, Any]:
    """Build the security context of a container that runs user code.

    It meets the `restricted` Pod Security Standard unless spec.security asks for root. `any_user` leaves the choice to
    the image where the settings allow root.
    """
    wanted = spec.security.dump() if spec.security else {}
    free = rules.allow_root and (any_user or _asks_for_root(spec))
    return {**contained(), **({} if free else {"runAsNonRoot": True}), **wanted}


def _asks_for_root(spec: PodExtras) -> bool:
    security = spec.security
    return security is not None and (security.run_as_user == 0 or security.run_as_non_root is False)


def refused_keys(asked: Mapping[str, Iterable[str]], allowed: Iterable[str]) -> str | None:
    """Return which keys of which fields the operator's settings do not allow, and what to do; None if all are."""
    patterns = tuple(allowed)
    refused = [
        f"{field}: {key}"
        for field, keys in asked.items()
        for key in sorted(keys)
        if not any(fnmatchcase(key, pattern) for pattern in patterns)
    ]
    if not refused:
        return None
    known = ", ".join(patterns) or "none"
    return (
        f"{'; '.join(refused)[:1000]}: this installation allows {known[:300]}. Remove it, or ask the administrator "
        "to add it to config.allowedAnnotations in the chart's values"
    )


def refused_account(account: str | None, rules: PodRules) -> str | None:
    """Explain that the operator's settings do not allow a ServiceAccount; None if they do, or none is set."""
    if account is None or account in rules.service_accounts:
        return None
    return (
        f"spec.serviceAccountName: {account} is not an allowed ServiceAccount; remove it, or ask the "
        "administrator to add it to config.pods.serviceAccounts in the chart's values"
    )


def refusal(spec: PodExtras, rules: PodRules) -> str | None:
    """Explain which setting of the operator forbids these pods, and what to do; None if they are allowed."""
    account = refused_account(spec.service_account_name, rules)
    if account is not None:
        return account
    if _asks_for_root(spec) and not rules.allow_root:
        return (
            "spec.security requests root, which the operator's settings forbid; set another runAsUser, remove "
            "runAsNonRoot: false, or ask the administrator to set config.pods.allowRoot"
        )
    return None
