"""Carries out what a room decided about children: make, apply, delete, each only when it would change something."""

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
from perennial.runtime.controller.cache import Cache
from perennial.runtime.controller.diff import covers, first_difference, projection
from perennial.runtime.controller.ownership import Standing, holder_of, standing
from perennial.runtime.controller.ports import Api

_log = logging.getLogger(__name__)

Accept = Callable[[Kind, Raw], None]
"""Takes an answer of the API server into the cache and wakes whom it concerns."""


class NotYet(Exception):
    """A child cannot be made or changed just now; the message says what has to happen first."""


class Children:
    """Makes children what a decision wants them to be."""

    def __init__(
        self,
        api: Api,
        cache: Cache,
        accept: Accept,
        *,
        on_created: Callable[[Kind], None],
        on_unsettled: Callable[[Kind], None],
    ) -> None:
        """Share the cache; the listeners are told of a child that is new, or that does not keep what was applied."""
        self._api = api
        self._cache = cache
        self._accept = accept
        self._on_created = on_created
        self._on_unsettled = on_unsettled
        self._unsettled: dict[tuple[str, str], tuple[str, str]] = {}

    async def carry_out(self, owner: Raw, actions: Iterable[Action]) -> None:
        """Do all that is asked, deletions last.

        Raises:
            ChildConflict: a name is taken by an object that is not the owner's.
            NotYet: something has to go or settle first.
            ApiError: the API server refused.
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
                raise NotYet(f"{_title(manifest)} came and went meanwhile") from error
            self._require_ours(holder, owner)
            await self._relabel(holder, manifest)

    async def _relabel(self, live: Raw, manifest: Raw) -> None:
        """Give back the labels that someone took off: by them a child is watched, and found again."""
        metadata = manifest["metadata"]
        labels = {"labels": metadata.get("labels") or {}}
        if covers(live["metadata"], labels):
            return
        names = {"name": metadata["name"], "namespace": metadata["namespace"]}
        patch = {"apiVersion": manifest["apiVersion"], "kind": manifest["kind"], "metadata": names | labels}
        self._accept(kind_of(manifest), await self._api.apply(_with_uid(patch, live), FIELD_MANAGER))

    async def _apply(self, owner: Raw, manifest: Raw, manager: str) -> None:
        known = self._known(manifest)
        if known is None:  # one without our labels is not in the cache
            known = await self._look_up(manifest)
        if known is not None:
            self._require_ours(known, owner)
        elif manager != FIELD_MANAGER:
            return  # it adds a field to what the main manager makes, and makes nothing itself
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
        """Apply; where what someone added by hand makes the result invalid, put our lists in place of theirs.

        A Service whose port was edited is such a case: applying our port beside theirs gives two ports of one name.
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
            return  # another object by now
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
        # Only what the watch will keep up to date may enter the cache.
        if live is not None and KIND_LABEL in (live["metadata"].get("labels") or {}):
            self._accept(kind, live)
        return live

    def _is_ours(self, child: Raw, owner: Raw) -> bool:
        match standing(child, owner):
            case Standing.LEAVING:
                raise NotYet(f"{_title(child)} is on its way out and still holds its name")
            case found:
                return found is Standing.OURS

    def _require_ours(self, child: Raw, owner: Raw) -> None:
        if not self._is_ours(child, owner):
            metadata = child["metadata"]
            raise ChildConflict(kind_of(child), metadata["namespace"], metadata["name"], holder_of(child))

    # An admission webhook or another manager may change a field back at once. Applying it again and again would be
    # a fight without end, so it is done once for every state that the others leave it in.

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
                "It is left so until it changes again; see its managedFields for who that is",
                _title(wanted),
                path,
            )


def _with_digest(manifest: Raw, digest: str) -> Raw:
    metadata = manifest["metadata"]
    annotations = {**(metadata.get("annotations") or {}), APPLIED_ANNOTATION: digest}
    return {**manifest, "metadata": {**metadata, "annotations": annotations}}


def _with_uid(manifest: Raw, known: Raw | None) -> Raw:
    """Bind the patch to the object that was looked at, not to a newer one of its name."""
    if known is None:
        return manifest
    return {**manifest, "metadata": {**manifest["metadata"], "uid": known["metadata"]["uid"]}}


def _fingerprint(live: Raw, wanted: Raw) -> tuple[str, str]:
    return digest_of(projection(live, wanted)), digest_of(wanted)


def _title(manifest: Any) -> str:
    metadata = manifest["metadata"]
    return f"{manifest['kind']} {metadata['namespace']}/{metadata['name']}"
