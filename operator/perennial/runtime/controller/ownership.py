"""Whose a child is: told by the uid of its controller, since names come back and labels can be forged."""

from collections.abc import Mapping
from enum import Enum
from typing import Any

from perennial.api.common.base import GROUP
from perennial.core.kinds import Raw


class Standing(Enum):
    """How an existing object stands to a resource that wants a child of its name."""

    OURS = "ours"
    LEAVING = "leaving"  # ours or a predecessor's, on its way out: the name will be free soon
    FOREIGN = "foreign"


def standing(child: Raw, owner: Raw) -> Standing:
    """Return how the child stands to the resource that wants it."""
    controller = _controller_of(child)
    metadata = owner["metadata"]
    if controller.get("uid") == metadata["uid"]:
        return Standing.LEAVING if "deletionTimestamp" in child["metadata"] else Standing.OURS
    group = str(controller.get("apiVersion", "")).partition("/")[0]
    same_name = (group, controller.get("kind"), controller.get("name")) == (
        GROUP,
        owner["kind"],
        metadata["name"],
    )
    # An earlier resource of this name owned it; garbage collection takes it away.
    return Standing.LEAVING if same_name else Standing.FOREIGN


def holder_of(child: Raw) -> str:
    """Return who controls the child, in words for a message."""
    controller = _controller_of(child)
    if not controller:
        return "an object that no controller owns"
    return f"{controller.get('kind')} {controller.get('name')}"


def _controller_of(child: Raw) -> Mapping[str, Any]:
    references = child["metadata"].get("ownerReferences") or ()
    return next((item for item in references if item.get("controller")), {})
