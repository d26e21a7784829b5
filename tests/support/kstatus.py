"""kstatus' verdict about a custom resource: what Flux and Helm 4 wait for.

Written from the rules that its documentation gives, in its order: deletion, generation, the first of Reconciling and
Stalled, then Ready.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

Status = Literal["Terminating", "InProgress", "Failed", "Current"]


def compute(resource: Mapping[str, Any]) -> Status:
    if resource["metadata"].get("deletionTimestamp"):
        return "Terminating"
    status = resource.get("status") or {}
    observed = status.get("observedGeneration")
    if observed is not None and observed != resource["metadata"].get("generation"):
        return "InProgress"
    conditions = status.get("conditions") or []
    for item in conditions:
        if item["status"] == "True" and item["type"] in {"Reconciling", "Stalled"}:
            return "InProgress" if item["type"] == "Reconciling" else "Failed"
    ready = next((item["status"] for item in conditions if item["type"] == "Ready"), None)
    return "Current" if ready in {None, "True"} else "InProgress"
