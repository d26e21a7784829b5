"""Keeps profiles below the reports' URI. What prevents it is told and costs time, never a verdict."""

import logging
import threading
from dataclasses import dataclass, field

from perennial.agent.drift.history.store import ReportStore
from perennial.agent.drift.profiles.encoding import Damaged, decode, encode
from perennial.agent.drift.profiles.hour import HourProfile
from perennial.agent.drift.profiles.plan import ColumnPlan
from perennial.agent.storage.client import join_uri
from perennial.agent.storage.errors import AgentError

log = logging.getLogger(__name__)

FOLDER = "_profiles"
"""Its name begins with _, so that no reader of tables takes its files for data."""
TYPE = "application/vnd.apache.parquet"
_MOST_BYTES = 256 * 2**20


@dataclass
class ProfileStore:
    """Profiles of one key.

    Attributes:
        store: storage.
        report: URI of the reports.
        key: hash of what the profiles depend on.
        plans: columns by name.
        problem: why the first of some profiles could not be read or written.
    """

    store: ReportStore
    report: str
    key: str
    plans: dict[str, ColumnPlan]
    problem: str | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def load(self, folder: str) -> HourProfile | None:
        """Return the profile of an hour; None if there is none, or none that can be read. Called by several threads."""
        uri = self._uri(folder)
        try:
            found = self.store.get_version(uri, _MOST_BYTES)
            if found is None:
                return None
            profile = decode(found.data, self.plans)
        except Damaged as error:
            log.warning("%s is damaged (%s): the hour is read again", uri, error)
            return None
        except AgentError as error:
            self._note(error.message)
            return None
        if profile.folder != folder:
            log.warning("%s is of another hour: the hour is read again", uri)
            return None
        return profile

    def save(self, profile: HourProfile) -> None:
        """Write the profile of an hour in place of an earlier one."""
        try:
            self.store.put_bytes(self._uri(profile.folder), encode(profile), TYPE)
        except AgentError as error:
            self._note(error.message)

    def _note(self, message: str) -> None:
        log.warning("profiles of hours: %s", message)
        with self._lock:
            self.problem = self.problem or message

    def _uri(self, folder: str) -> str:
        name = folder.replace("date=", "").replace("/hour=", "-")
        return join_uri(self.report, f"{FOLDER}/{self.key}/{name}.parquet")
