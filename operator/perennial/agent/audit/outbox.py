"""Reads the outbox that the operator hands over."""

from pathlib import Path

from pydantic import ValidationError

from perennial.agent.storage.errors import AgentError
from perennial.api.contract.audit import LONGEST_LINE, OUTBOX_SUFFIX, AuditEntry
from perennial.core.failures import DATA_INVALID

_FILE_BYTES = 4 * 2**20
"""More than a ConfigMap can hold."""


def read_outbox(folder: Path) -> tuple[AuditEntry, ...]:
    """Return the entries of all files of a folder, by name and line, each identity once.

    Raises:
        AgentError: DataInvalid, if the folder or a line cannot be read; the message names it.
    """
    try:
        # A ConfigMap's volume has hidden folders beside its files.
        files = sorted(path for path in folder.iterdir() if _is_outbox(path))
        texts = [(path.name, _read(path)) for path in files]
    except OSError as error:
        raise AgentError(DATA_INVALID, f"the outbox {folder} cannot be read: {error.strerror}") from error
    entries: dict[str, AuditEntry] = {}
    for name, data in texts:
        for number, line in enumerate(data.split(b"\n"), start=1):
            if line.strip():
                entry = _entry(line, f"{name} line {number}")
                entries.setdefault(entry.id, entry)
    return tuple(entries.values())


def _is_outbox(path: Path) -> bool:
    return path.name.endswith(OUTBOX_SUFFIX) and not path.name.startswith(".") and path.is_file()


def _read(path: Path) -> bytes:
    with path.open("rb") as stream:
        data = stream.read(_FILE_BYTES + 1)
    if len(data) > _FILE_BYTES:
        raise AgentError(DATA_INVALID, f"{path.name} of the outbox has more than {_FILE_BYTES} bytes")
    return data


def _entry(line: bytes, where: str) -> AuditEntry:
    if len(line) > LONGEST_LINE // 2:
        raise AgentError(DATA_INVALID, f"{where} of the outbox is longer than {LONGEST_LINE // 2} bytes")
    try:
        return AuditEntry.model_validate_json(line)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise AgentError(DATA_INVALID, f"{where} of the outbox is no entry: {field}: {first['msg']}") from error
