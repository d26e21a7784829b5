"""Carries out the actions of a decision: create, apply and delete children, each only if it changes something."""

import logging
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any

from perennial.adapters.cluster import kind_of
from perennial.adapters.errors import ApiError
from perennial.core.decision import Action, Apply, ChildConflict, Create, Delete
from perennial.core.kinds import Kind, Raw
from perennial.core.labels import APPLIED_ANNOTATION, KIND_LABEL
from perennial.core.names import FIELD_MANAGER, digest_of
from perennial.runtime.controller.api import Api
from perennial.runtime.controller.cache import Cache
from perennial.runtime.controller.diff import covers, first_difference, projection
from perennial.runtime.controller.ownership import Ownership, holder_of, ownership

_log = logging.getLogger(__name__)

Accept = Callable[[Kind, Raw], None]
"""Stores an answer of the API server in the cache and requeues the resources that it concerns."""


class NotYet(Exception):
    """A child cannot be created or changed yet; the message says what must happen first."""


class Children:
    """Brings children to the state that a decision wants."""

    def __init__(
        self,
        api: Api,
        cache: Cache,
        accept: Accept,
        *,
        on_created: Callable[[Kind], None],
        on_unsettled: Callable[[Kind], None],
    ) -> None:
        """The listeners are called for a child that was created, or that does not keep its applied fields."""
        self._api = api
        self._cache = cache
        self._accept = accept
        self._on_created = on_created
        self._on_unsettled = on_unsettled
        self._unsettled: dict[tuple[str, str], tuple[str, str]] = {}

    async def carry_out(self, owner: Raw, actions: Iterable[Action]) -> None:
        """Carry out all actions, deletions last.

        Raises:
            ChildConflict: a name is taken by an object of another owner.
            NotYet: something else must happen first, such as a deletion.
            ApiError: a request failed.
        """
        for action in sorted(actions, key=lambda item: isinstance(item, Delete)):
            match action:
                case Create():
                    await self._create(owner, action.manifest)
                case Apply():
                    await self._apply(owner, action.manifest, action.manager)
                case Delete():
                    await self._delete(action)

    async def _create(self, owner: Raw, manifest: Raw) -> None:
        known = self._known(manifest)
        if known is not None and self._is_ours(known, owner):
            return
        kind = kind_of(manifest)
        try:
            self._accept(kind, await self._api.create(manifest, FIELD_MANAGER))
            self._on_created(kind)
        except ApiError as error:
            if not error.conflict:
                raise
            holder = await self._look_up(manifest)
            if holder is None:
                raise NotYet(f"{_title(manifest)} was created and deleted meanwhile") from error
            self._require_ours(holder, owner)
            await self._relabel(holder, manifest)

    async def _relabel(self, live: Raw, manifest: Raw) -> None:
        """Restore labels that were removed: the watches and the cache find children by them."""
        metadata = manifest["metadata"]
        labels = {"labels": metadata.get("labels") or {}}
        if covers(live["metadata"], labels):
            return
        names = {"name": metadata["name"], "namespace": metadata["namespace"]}
        patch = {"apiVersion": manifest["apiVersion"], "kind": manifest["kind"], "metadata": names | labels}
        self._accept(kind_of(manifest), await self._api.apply(_with_uid(patch, live), FIELD_MANAGER))

    async def _apply(self, owner: Raw, manifest: Raw, manager: str) -> None:
        known = self._known(manifest)
        if known is None:  # an object without our labels is not in the cache
            known = await self._look_up(manifest)
        if known is not None:
            self._require_ours(known, owner)
        elif manager != FIELD_MANAGER:
            return  # it adds a field to what the main manager applies, and creates nothing itself
        digest = digest_of(manifest)
        wanted = _with_digest(manifest, digest) if manager == FIELD_MANAGER else manifest
        if known is not None and (covers(known, wanted) or self._is_unsettled(known, wanted, manager)):
            return
        try:
            answer = await self._send(_with_uid(wanted, known), manager, repair=known is not None)
        except ApiError as error:
            if not error.conflict:
                raise
            await self._look_up(manifest)
            raise NotYet(f"{_title(manifest)} was replaced meanwhile") from error
        self._accept(kind_of(manifest), answer)
        if known is None:
            self._on_created(kind_of(manifest))
        self._note_result(answer, wanted, manager)

    async def _send(self, wanted: Raw, manager: str, *, repair: bool) -> Raw:
        """Apply; if a manual edit makes the result invalid, replace whole lists by a merge patch.

        Example: the port of a Service was edited, and an apply would give two ports of the same name.
        """
        try:
            return await self._api.apply(wanted, manager)
        except ApiError as error:
            if not (repair and error.status == HTTPStatus.UNPROCESSABLE_ENTITY and manager == FIELD_MANAGER):
                raise
            return await self._api.merge(wanted, manager)

    async def _delete(self, action: Delete) -> None:
        try:
            answer = await self._api.delete(action.kind, action.namespace, action.name, action.uid)
        except ApiError as error:
            if error.not_found:
                return
            if not error.conflict:
                raise
            live = await self._api.get(action.kind, action.namespace, action.name)
            if live is not None and live["metadata"].get("uid") == action.uid:
                raise NotYet(f"{action.kind.kind} {action.namespace}/{action.name} could not be deleted yet") from error
            return  # the name now belongs to another object
        if answer.get("kind") == action.kind.kind:
            if answer["metadata"].get("deletionTimestamp"):
                self._accept(action.kind, answer)
            return
        known = self._cache.get(action.kind, action.namespace, action.name)
        if known is not None and known["metadata"].get("uid") == action.uid:
            self._cache.remove(action.kind, known, final=True)

    def _known(self, manifest: Raw) -> Raw | None:
        metadata = manifest["metadata"]
        return self._cache.get(kind_of(manifest), metadata["namespace"], metadata["name"])

    async def _look_up(self, manifest: Raw) -> Raw | None:
        kind, metadata = kind_of(manifest), manifest["metadata"]
        live = await self._api.get(kind, metadata["namespace"], metadata["name"])
        # Only watched objects may enter the cache, since others are never updated.
        if live is not None and KIND_LABEL in (live["metadata"].get("labels") or {}):
            self._accept(kind, live)
        return live

    def _is_ours(self, child: Raw, owner: Raw) -> bool:
        match ownership(child, owner):
            case Ownership.LEAVING:
                raise NotYet(f"{_title(child)} is being deleted and still has its name")
            case found:
                return found is Ownership.OURS

    def _require_ours(self, child: Raw, owner: Raw) -> None:
        if not self._is_ours(child, owner):
            metadata = child["metadata"]
            raise ChildConflict(kind_of(child), metadata["namespace"], metadata["name"], holder_of(child))

    # An admission webhook or another manager may revert a field at once. To avoid an endless fight, the same manifest
    # is applied only once to each state that the others leave the object in.

    def _is_unsettled(self, live: Raw, wanted: Raw, manager: str) -> bool:
        return self._unsettled.get((live["metadata"]["uid"], manager)) == _fingerprint(live, wanted)

    def _note_result(self, live: Raw, wanted: Raw, manager: str) -> None:
        place = (live["metadata"]["uid"], manager)
        path = first_difference(live, wanted)
        if path is None:
            self._unsettled.pop(place, None)
            return
        if self._unsettled.get(place) != _fingerprint(live, wanted):
            self._unsettled[place] = _fingerprint(live, wanted)
            self._on_unsettled(kind_of(wanted))
            _log.warning(
                "%s does not keep %s as it was applied: another controller or an admission webhook changes it. "
                "It is not applied again until it changes; its managedFields name who changes it",
                _title(wanted),
                path,
            )


def _with_digest(manifest: Raw, digest: str) -> Raw:
    metadata = manifest["metadata"]
    annotations = {**(metadata.get("annotations") or {}), APPLIED_ANNOTATION: digest}
    return {**manifest, "metadata": {**metadata, "annotations": annotations}}


def _with_uid(manifest: Raw, known: Raw | None) -> Raw:
    """Bind the patch to the object that was read, not to a newer one of the same name."""
    if known is None:
        return manifest
    return {**manifest, "metadata": {**manifest["metadata"], "uid": known["metadata"]["uid"]}}


def _fingerprint(live: Raw, wanted: Raw) -> tuple[str, str]:
    return digest_of(projection(live, wanted)), digest_of(wanted)


def _title(manifest: Any) -> str:
    metadata = manifest["metadata"]
    return f"{manifest['kind']} {metadata['namespace']}/{metadata['name']}"
