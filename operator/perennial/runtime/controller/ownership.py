"""Decides who owns a child, by the uid of its controller reference: names are reused and labels can be copied."""

from collections.abc import Mapping
from enum import Enum
from typing import Any

from perennial.api.common.base import GROUP
from perennial.core.kinds import CRON_JOB, DEPLOYMENT, JOB, REPLICA_SET, Raw

INTERMEDIATE = (CRON_JOB, JOB, DEPLOYMENT, REPLICA_SET)
"""Kinds between a resource and its pods."""
_LONGEST_CHAIN = len(INTERMEDIATE) + 1


class Ownership(Enum):
    """Relation of an existing object to a resource that needs a child of the same name."""

    OURS = "ours"
    LEAVING = "leaving"  # ours or a predecessor's, being deleted: the name will be free soon
    FOREIGN = "foreign"


def ownership(child: Raw, owner: Raw) -> Ownership:
    """Classify an existing object."""
    controller = _controller_of(child)
    metadata = owner["metadata"]
    if controller.get("uid") == metadata["uid"]:
        return Ownership.LEAVING if "deletionTimestamp" in child["metadata"] else Ownership.OURS
    group = str(controller.get("apiVersion", "")).partition("/")[0]
    same_name = (group, controller.get("kind"), controller.get("name")) == (
        GROUP,
        owner["kind"],
        metadata["name"],
    )
    # Owned by an earlier resource of this name; garbage collection deletes it.
    return Ownership.LEAVING if same_name else Ownership.FOREIGN


def controller_uid(child: Raw) -> str:
    """Read the uid of the controlling owner; empty if there is none.

    Some kubectl versions do not mark the CronJob as controller of a Job made by `kubectl create job --from`.
    """
    references = child["metadata"].get("ownerReferences") or ()
    schedules = (item for item in references if item.get("kind") == CRON_JOB.kind)
    return str((_controller_of(child) or next(schedules, {})).get("uid", ""))


def leads_to(uid: str, owner: str, controllers: Mapping[str, str]) -> bool:
    """Tell whether a chain of controllers, given as uid by uid, leads from one uid to the owner's."""
    for _ in range(_LONGEST_CHAIN):
        if not uid or uid == owner:
            return bool(uid)
        uid = controllers.get(uid, "")
    return False


def holder_of(child: Raw) -> str:
    """Describe the owner of the child, for messages."""
    controller = _controller_of(child)
    if not controller:
        return "an object that no controller owns"
    return f"{controller.get('kind')} {controller.get('name')}"


def _controller_of(child: Raw) -> Mapping[str, Any]:
    references = child["metadata"].get("ownerReferences") or ()
    return next((item for item in references if item.get("controller")), {})
