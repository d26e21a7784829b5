"""Keeps what shards need to know of a reference, so that only the one that merges reads its rows."""

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from perennial import __version__
from perennial.agent.drift.data.reference import list_reference
from perennial.agent.drift.history.store import ReportStore
from perennial.agent.drift.profiles.plan import FORMAT, ColumnPlan
from perennial.agent.drift.shards.agree import Shard
from perennial.agent.storage.client import join_uri
from perennial.agent.storage.errors import AgentError
from perennial.api.contract.commands import DriftConfig
from perennial.stats.grid import Grid

log = logging.getLogger(__name__)

FILE = "reference.json"
_JSON = "application/json"
_MOST_BYTES = 64 * 2**20


@dataclass(frozen=True)
class Outline:
    """What shards need to know of a reference.

    Attributes:
        columns: names of all columns, in order of first occurrence.
        plans: the columns that are counted, without the counts of the reference.
    """

    columns: tuple[str, ...]
    plans: tuple[ColumnPlan, ...]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")


class _Grid(_Part):
    center: FiniteFloat
    width: FiniteFloat = Field(gt=0)
    whole: bool


class _Column(_Part):
    name: str
    grid: _Grid | None
    limits: tuple[float, ...]
    values: bool
    ids: bool


class _File(_Part):
    key: str
    columns: tuple[str, ...]
    counted: tuple[_Column, ...]


@dataclass(frozen=True)
class OutlineStore:
    """The outline of the reference of one monitor. What prevents its use is told and costs time, never a verdict.

    Shards that were misled by a wrong one find no partner: the shard that merges has read the reference, and the key of
    what it looks for holds the true grids.

    Attributes:
        store: storage.
        uri: the outline's object.
        key: hash of the reference's objects and of the settings on which the outline depends.
    """

    store: ReportStore
    uri: str
    key: str

    def load(self) -> Outline | None:
        """Return the outline; None if there is none that fits reference and settings."""
        data = self._content()
        if data is None:
            return None
        try:
            found = _File.model_validate_json(data)
        except ValidationError:
            log.warning("%s is no outline of a reference: the reference is read", self.uri)
            return None
        return _decoded(found) if found.key == self.key else None

    def save(self, outline: Outline) -> None:
        """Keep the outline in place of an earlier one; the same one is not written again."""
        data = _encoded(self.key, outline)
        if data == self._content():
            return
        try:
            self.store.put_bytes(self.uri, data, _JSON)
        except AgentError as error:
            log.warning("the outline of the reference is not kept: %s", error.message)

    def _content(self) -> bytes | None:
        try:
            found = self.store.get_version(self.uri, _MOST_BYTES)
        except AgentError as error:
            log.warning("the outline of the reference cannot be read: %s", error.message)
            return None
        return None if found is None else found.data


def outline_store(config: DriftConfig, store: ReportStore, shard: Shard, roles: Mapping[str, str]) -> OutlineStore:
    """Return where the outline of a comparison's reference is kept, given which columns are no inputs.

    Objects are told apart by their names, sizes and ETags, as capture files are.

    Raises:
        AgentError: ManifestInvalid and others, as `read_reference` raises, if the reference cannot be listed.
    """
    content = [
        FORMAT,
        __version__,
        config.reference if isinstance(config.reference, str) else config.reference.dump(),
        config.reference_digest,
        list_reference(store, config.reference),
        config.features.dump(),
        config.checks.quality.dump() if config.checks.quality else None,
        sorted(roles),
    ]
    key = hashlib.sha256(json.dumps(content).encode()).hexdigest()
    return OutlineStore(store, join_uri(shard.home, FILE), key)


def _encoded(key: str, outline: Outline) -> bytes:
    counted = tuple(
        _Column(name=plan.name, grid=_grid(plan.grid), limits=plan.limits, values=plan.values, ids=plan.ids)
        for plan in outline.plans
    )
    return _File(key=key, columns=outline.columns, counted=counted).model_dump_json().encode()


def _grid(grid: Grid | None) -> _Grid | None:
    return None if grid is None else _Grid(center=grid.center, width=grid.width, whole=grid.whole)


def _decoded(found: _File) -> Outline:
    plans = (
        ColumnPlan(
            item.name,
            None if item.grid is None else Grid(item.grid.center, item.grid.width, item.grid.whole),
            item.limits,
            item.values,
            item.ids,
        )
        for item in found.counted
    )
    return Outline(found.columns, tuple(plans))
