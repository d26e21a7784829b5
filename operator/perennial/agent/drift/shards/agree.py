"""Lets the shards of one comparison agree on its end and its files: the first list that is written counts."""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from perennial.agent.drift.data.window import window_files
from perennial.agent.drift.history.store import ReportStore
from perennial.agent.drift.profiles.plan import needs_rows
from perennial.agent.storage.client import join_uri
from perennial.agent.storage.errors import AgentError
from perennial.agent.tables.files import Download, Listing
from perennial.api.contract.commands import JOB_UID_VARIABLE, WORKER_VARIABLE, CaptureWindow, DriftConfig
from perennial.core.failures import CONFIG_INVALID, DATA_INVALID

FOLDER = "_shards"
"""Its name begins with _, so that no reader of tables takes its files for data."""
FILES = "files.json"
_JSON = "application/json"
_MOST_BYTES = 512 * 2**20


@dataclass(frozen=True)
class Shard:
    """This pod's place in a comparison, and what all its pods agree on.

    Attributes:
        index: of this shard, from 0.
        count: number of shards, at least 2.
        home: URI of what all comparisons of this monitor by shards write, without a slash at its end.
        folder: URI of what the shards of this Job write, below `home`, without a slash at its end.
        end: end of the window.
        files: capture files of the window.
        digest: of the list of files, in hexadecimal digits.
    """

    index: int
    count: int
    home: str
    folder: str
    end: datetime
    files: Listing
    digest: str


class _FileList(BaseModel):
    """Files by their names below the location of the capture, with sizes in bytes and ETags."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    shards: int
    end: AwareDatetime
    files: tuple[tuple[str, int, str], ...]
    passed_over: tuple[str, ...]


def join_shards(
    config: DriftConfig, store: ReportStore, now: datetime, job: str, environment: Mapping[str, str] = os.environ
) -> Shard | None:
    """Return this pod's shard; None if a single pod makes the comparison.

    The window ends when the first shard lists it, so that clocks and late files make no difference between shards. What
    an earlier Job of the same name has left is not looked at, since the folder is named after the Job's UID.

    Args:
        config: number of shards, and location of capture and reports.
        store: storage of both.
        now: current time.
        job: name of the Job.
        environment: holds index and UID.

    Raises:
        AgentError: AgentConfigInvalid, if operator and agent do not match; DataInvalid, if the list was overwritten by
            something else; or what storage raises.
    """
    if config.shards is None:
        return None
    index, uid = _place(config.shards, environment)
    source = config.current
    why = needs_rows(config) or cannot_shard(config)
    if why is not None or config.report is None or not isinstance(source, CaptureWindow):
        raise AgentError(CONFIG_INVALID, f"shards cannot be used: {why or 'report or current.window is not set'}")
    home = join_uri(config.report, f"{FOLDER}/{config.namespace}/{config.monitor}")
    folder = join_uri(home, f"{job}/{uid}")
    uri = join_uri(folder, FILES)
    found = store.get_version(uri, _MOST_BYTES)
    if found is None:
        listing = window_files(store, source, now)
        # Whoever is first decides, so what is stored then is read, whether or not this writer was.
        store.replace_version(uri, _encoded(source.uri, listing, config.shards, now), _JSON, None)
        found = store.get_version(uri, _MOST_BYTES)
    if found is None:
        raise AgentError(DATA_INVALID, f"{uri} was removed while the comparison ran")
    listed = _decoded(uri, found.data)
    if listed.shards != config.shards:
        raise AgentError(DATA_INVALID, f"{uri} is a list for {listed.shards} shards, not {config.shards}")
    root = _root(source.uri)
    files = tuple(Download(f"{root}{name}", size, etag) for name, size, etag in listed.files)
    digest = hashlib.sha256(found.data).hexdigest()
    return Shard(index, config.shards, home, folder, listed.end, Listing(files, listed.passed_over), digest)


def cannot_shard(config: DriftConfig) -> str | None:
    """Return the first field that makes a comparison read responses, which shards do not; None: there is none."""
    checks = config.checks
    fields = (
        ("checks.performance", bool(checks.performance)),
        ("checks.estimated", bool(checks.estimated)),
        ("checks.fairness", bool(checks.fairness)),
        ("checks.predictionDrift", checks.prediction_drift is not None),
        ("predictions.output", config.predictions.output is not None),
    )
    return next((f"{name} needs responses" for name, given in fields if given), None)


def _place(count: int, environment: Mapping[str, str]) -> tuple[int, str]:
    text, uid = environment.get(WORKER_VARIABLE, ""), environment.get(JOB_UID_VARIABLE, "")
    if not (text.isascii() and text.isdecimal() and int(text) < count):
        raise AgentError(CONFIG_INVALID, f"{WORKER_VARIABLE} is {text[:20]!r}, but must be below {count} with shards")
    if not uid or "/" in uid:
        raise AgentError(CONFIG_INVALID, f"{JOB_UID_VARIABLE} must be set with shards")
    return int(text), uid


def _encoded(uri: str, listing: Listing, shards: int, end: datetime) -> bytes:
    root = _root(uri)
    files = tuple((item.uri.removeprefix(root), item.size, item.etag) for item in listing.files)
    content = _FileList(shards=shards, end=end, files=files, passed_over=listing.passed_over)
    return content.model_dump_json().encode()


def _decoded(uri: str, data: bytes) -> _FileList:
    try:
        return _FileList.model_validate_json(data)
    except ValidationError as error:
        raise AgentError(DATA_INVALID, f"{uri} is no list of the files of a comparison; who has changed it?") from error


def _root(uri: str) -> str:
    return f"{uri.rstrip('/')}/"
