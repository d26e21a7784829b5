"""Keeps what each shard has counted, until one of them merges it."""

import logging
from dataclasses import dataclass

from perennial.agent.drift.history.store import ReportStore
from perennial.agent.drift.profiles.encoding import Damaged, decode, encode
from perennial.agent.drift.profiles.hour import FileMark, HourProfile
from perennial.agent.drift.profiles.plan import ColumnPlan
from perennial.agent.drift.profiles.store import TYPE
from perennial.agent.drift.shards.agree import Shard
from perennial.agent.storage.client import join_uri
from perennial.agent.storage.errors import AgentError
from perennial.core.failures import DATA_INVALID

log = logging.getLogger(__name__)

_MOST_BYTES = 2**30
_TEXT = "text/plain; charset=utf-8"
_DIGITS = 16
_CLAIM_BYTES = 16


@dataclass(frozen=True)
class ShardStore:
    """Profiles of the shards of one comparison.

    Attributes:
        store: storage.
        shard: this shard.
        key: hash of what a profile depends on beside its files. Shards that saw another reference have another one.
        plans: columns by name.
    """

    store: ReportStore
    shard: Shard
    key: str
    plans: dict[str, ColumnPlan]

    def save(self, profile: HourProfile) -> None:
        """Write the profile of this shard in place of an earlier one.

        Raises:
            AgentError: what storage raises.
        """
        self.store.put_bytes(self._uri(self.shard.index), encode(profile), TYPE)

    def load(self, index: int, files: tuple[FileMark, ...]) -> HourProfile | None:
        """Return the profile of a shard; None if there is none, or one that is damaged or of other files.

        Raises:
            AgentError: what storage raises.
        """
        uri = self._uri(index)
        found = self.store.get_version(uri, _MOST_BYTES)
        if found is None:
            return None
        try:
            profile = decode(found.data, self.plans)
        except Damaged as error:
            log.warning("%s is damaged: %s", uri, error)
            return None
        if (profile.folder, profile.files) != (self.name(index), files):
            log.warning("%s is the profile of other files", uri)
            return None
        return profile

    def must_load(self, index: int, files: tuple[FileMark, ...]) -> HourProfile:
        """Return the profile of a shard that has been written.

        Raises:
            AgentError: DataInvalid, if it is gone, damaged or of other files; or what storage raises.
        """
        found = self.load(index, files)
        if found is None:
            uri = self._uri(index)
            text = f"{uri}, which shard {index} has written, is gone, damaged or of other files: who has changed it?"
            raise AgentError(DATA_INVALID, text)
        return found

    def written(self) -> set[int]:
        """Return the shards that have written a profile.

        Raises:
            AgentError: what storage raises.
        """
        names = {item.key.rsplit("/", 1)[-1] for item in self.store.list(f"{self.shard.folder}/")}
        return {index for index in range(self.shard.count) if self._file(index) in names}

    def merges(self) -> bool:
        """Whether this shard is to merge: it is the first that found all profiles, or repeats that shard.

        Raises:
            AgentError: what storage raises.
        """
        uri = join_uri(self.shard.folder, f"merged-by-{self._digest}")
        mine = str(self.shard.index).encode()
        self.store.replace_version(uri, mine, _TEXT, None)
        found = self.store.get_version(uri, _CLAIM_BYTES)
        return found is not None and found.data == mine

    def name(self, index: int) -> str:
        """Return what a shard is called: its index, the number of shards, and what they agreed on."""
        return f"shard-{index:02}-of-{self.shard.count:02}-{self._digest}"

    @property
    def _digest(self) -> str:
        return f"{self.shard.digest[:_DIGITS]}-{self.key[:_DIGITS]}"

    def _file(self, index: int) -> str:
        return f"{self.name(index)}.parquet"

    def _uri(self, index: int) -> str:
        return join_uri(self.shard.folder, self._file(index))
