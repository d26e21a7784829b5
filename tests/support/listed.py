"""A world made of the objects that a case lists: what the runtime's cache would show."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from typing import Any

from perennial.core.decision import Controller
from perennial.core.kinds import DRIFT_MONITOR, MODEL_DEPLOYMENT, TRAINING_JOB, Key, Kind, Raw
from perennial.core.labels import KIND_LABEL, NAME_LABEL
from perennial.runtime.controller.ownership import controller_uid, leads_to

CONTROLLER_OF = {TRAINING_JOB: "training", MODEL_DEPLOYMENT: "serving", DRIFT_MONITOR: "drift"}


def load_controller(name: str) -> Controller[Any, Any]:
    """Return the `CONTROLLER` of `perennial.<name>.controller`."""
    controller: Controller[Any, Any] = importlib.import_module(f"perennial.{name}.controller").CONTROLLER
    return controller


class ListedWorld:
    """`core.decision.World` over a list of raw objects."""

    def __init__(self, objects: Iterable[Raw]) -> None:
        self._objects = sorted(objects, key=lambda raw: raw["metadata"]["name"])

    def _of(self, kind: Kind, namespace: str) -> list[Raw]:
        return [
            raw
            for raw in self._objects
            if raw["kind"] == kind.kind and raw["metadata"].get("namespace", "default") == namespace
        ]

    def get(self, kind: Kind, namespace: str, name: str) -> Raw | None:
        """Return the object, or None."""
        return next((raw for raw in self._of(kind, namespace) if raw["metadata"]["name"] == name), None)

    def children(self, kind: Kind, owner: Key, uid: str) -> tuple[Raw, ...]:
        """Return objects that carry the owner's labels, and belong to it; without ownerReferences, they do."""
        wanted = {KIND_LABEL: owner.kind, NAME_LABEL: owner.name}
        controllers = {raw["metadata"].get("uid", ""): self._controller(raw, uid) for raw in self._objects}
        return tuple(
            raw
            for raw in self._of(kind, owner.namespace)
            if wanted.items() <= raw["metadata"].get("labels", {}).items()
            and (leads_to(self._controller(raw, uid), uid, controllers) or not uid)
        )

    def _controller(self, raw: Raw, default: str) -> str:
        return controller_uid(raw) if "ownerReferences" in raw["metadata"] else default

    def answer(self, url: str) -> str | None:
        """Return nothing: no pod answers here."""
        return None

    def naming(self, kind: Kind, upstream: Key) -> tuple[Raw, ...]:
        """Return resources whose controller says that they name the other."""
        found = self._of(kind, upstream.namespace)
        return (
            tuple(raw for raw in found if upstream in load_controller(CONTROLLER_OF[kind]).names(raw)) if found else ()
        )
