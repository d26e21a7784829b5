"""Reads history.parquet, adds a comparison and writes it back, so that no comparison of another writer is lost."""

import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

import polars as pl

from perennial.agent.drift.history.rows import SCHEMA, Foreign, decode, encode, merge
from perennial.agent.storage.client import Version
from perennial.agent.storage.errors import AgentError
from perennial.agent.tables.files import Store
from perennial.agent.tables.table import clean_text

log = logging.getLogger(__name__)

FILE = "history.parquet"
TYPE = "application/vnd.apache.parquet"
MOST_BYTES = 128 * 2**20
_TRIES = 8
_PAUSE_SECONDS = 0.2


class ReportStore(Store, Protocol):
    """Storage of reports and their history. Implemented by `agent.storage.client.ObjectStore`."""

    def get_version(self, uri: str, limit: int) -> Version | None:
        """Return an object of at most `limit` bytes; None if there is none."""

    def replace_version(self, uri: str, data: bytes, content_type: str, etag: str | None) -> bool:
        """Write an object if it still has this ETag (None: if there is none); False: it has not."""

    def delete(self, uri: str) -> None:
        """Delete an object; no error if there is none."""


@dataclass(frozen=True)
class Kept:
    """What has become of the history.

    Attributes:
        rows: the comparisons, this one included; None if it could not be read or written.
        note: sentence for the report, if something is to be told.
    """

    rows: pl.DataFrame | None
    note: str | None = None


def remember(
    store: ReportStore,
    folder: str,
    new: pl.DataFrame,
    *,
    now: datetime,
    keep: timedelta,
    pause: Callable[[float], None] = time.sleep,
) -> Kept:
    """Add the rows of a comparison to the history under a URI.

    A verdict does not depend on its history: what prevents it is told and raises nothing.
    """
    uri = f"{folder.rstrip('/')}/{FILE}"
    try:
        return _remember(store, uri, new, now=now, keep=keep, pause=pause)
    except AgentError as error:
        return _not_kept(error.message)
    except Foreign as error:
        step = "it is left as it is; move it, or set another report.uri"
        return _not_kept(f"{uri} holds other columns ({clean_text(str(error))[:200]}): {step}")


def _remember(
    store: ReportStore,
    uri: str,
    new: pl.DataFrame,
    *,
    now: datetime,
    keep: timedelta,
    pause: Callable[[float], None],
) -> Kept:
    for attempt in range(_TRIES):
        found = store.get_version(uri, MOST_BYTES)
        earlier = pl.DataFrame(schema=SCHEMA) if found is None else decode(found.data)
        note = None
        if found is not None and earlier is None:
            note = _set_aside(store, uri, found.data, now)
        rows = merge(pl.DataFrame(schema=SCHEMA) if earlier is None else earlier, new, now, keep)
        if store.replace_version(uri, encode(rows), TYPE, found.etag if found else None):
            return Kept(rows, note)
        # Monitors that share the file and the schedule would otherwise meet again.
        pause(random.uniform(0.5, 1.5) * _PAUSE_SECONDS * (attempt + 1))  # noqa: S311
    return _not_kept(
        f"{uri} was changed by others in each of {_TRIES} tries: give every monitor a report.uri of its own"
    )


def _set_aside(store: ReportStore, uri: str, data: bytes, now: datetime) -> str:
    """Keep a damaged file under a hidden name, which no comparison reads as data."""
    other = f"{uri.removesuffix(FILE)}_damaged-history-{now:%Y%m%dT%H%M%SZ}.parquet"
    store.put_bytes(other, data, TYPE)
    log.warning("%s is damaged, kept as %s", uri, other)
    return f"{uri} was no readable Parquet file. It is kept as {other}, and a new history begins."


def _not_kept(cause: str) -> Kept:
    log.warning("the history of comparisons is not kept: %s", cause)
    return Kept(None, f"The history of comparisons was not kept: {cause}.")
