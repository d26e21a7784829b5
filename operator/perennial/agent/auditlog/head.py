"""head.json: where the log ends, kept beside it. It may lag behind, but never run ahead."""

from collections.abc import Mapping

from pydantic import ValidationError

from perennial.agent.auditlog.segments import HEAD, HEAD_TYPE, LogStore, object_uri
from perennial.agent.storage.errors import AgentError
from perennial.api.contract.audit import AuditPosition
from perennial.core.audit import canonical
from perennial.core.failures import AUDIT_BROKEN, AUDIT_STORAGE_UNFIT

_LIMIT = 4096
_TRIES = 4


def read_head(store: LogStore, uri: str) -> tuple[AuditPosition, str] | None:
    """Return the position in head.json and its ETag; None if there is none.

    Raises:
        AgentError: AuditLogBroken, it cannot be read; or as in `core.failures`.
    """
    where = object_uri(uri, HEAD)
    found = store.get_version(where, _LIMIT)
    if found is None:
        return None
    try:
        return AuditPosition.model_validate_json(found.data), found.etag
    except ValidationError as error:
        raise AgentError(AUDIT_BROKEN, f"{where} is not as it was written") from error


def begin_head(store: LogStore, uri: str, at: AuditPosition) -> None:
    """Write the first head.json of a log, and prove that the storage obeys conditions.

    Raises:
        AgentError: AuditStorageUnfit, if it wrote a second one.
    """
    where, data = object_uri(uri, HEAD), canonical(at.dump())
    store.append_version(where, data, HEAD_TYPE, None)
    if store.append_version(where, data, HEAD_TYPE, None):
        raise AgentError(
            AUDIT_STORAGE_UNFIT,
            f"{where}: the storage ignores If-None-Match, so one writer could erase another's lines",
        )


def advance_head(store: LogStore, uri: str, at: AuditPosition) -> None:
    """Move head.json forward to a position, unless another writer has moved it further."""
    for _ in range(_TRIES):
        found = read_head(store, uri)
        if found is not None and found[0].sequence >= at.sequence:
            return
        data = canonical(at.dump())
        if store.append_version(object_uri(uri, HEAD), data, HEAD_TYPE, found[1] if found else None):
            return


def contradiction(
    known: AuditPosition, of: str, first: int, last: AuditPosition | None, hashes: Mapping[int, str]
) -> str | None:
    """Say how a position that is known from elsewhere contradicts the lines that were read; None: it does not.

    Args:
        known: the position.
        of: who knows it.
        first: sequence number of the first line that was read.
        last: the last position.
        hashes: hash of each line that was read, at least of this number.
    """
    if known.sequence < max(first, 1):
        return None
    end = last.sequence if last is not None else 0
    if known.sequence > end:
        return f"the log ends with line {end}, but {of} knows line {known.sequence}: the end was cut off"
    if hashes.get(known.sequence) != known.hash:
        return f"line {known.sequence} is not the one that {of} knows: the log was rewritten up to it"
    return None
