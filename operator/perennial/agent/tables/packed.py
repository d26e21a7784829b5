"""Unpacks compressed files of rows."""

import bz2
import gzip
import shutil
import zlib
from pathlib import Path

from perennial.agent.tables.table import unreadable

PACKED = (".gz", ".bz2")
_COPY_BYTES = 1 << 20


def unpack(path: Path, origin: str, packed: str) -> Path:
    """Write the content of a compressed file beside it, delete it, and return the path.

    Args:
        path: the file.
        origin: what messages call it.
        packed: its suffix, one of PACKED.

    Raises:
        AgentError: DataInvalid, if it is damaged.
    """
    unpacked = path.with_suffix(".unpacked")
    try:
        with _opened(path, packed) as source, unpacked.open("wb") as target:
            shutil.copyfileobj(source, target, _COPY_BYTES)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise unreadable(origin, error) from error
    except OSError as error:
        if error.errno is not None:  # of the disk; bz2 reports corrupt data without a number
            raise
        raise unreadable(origin, error) from error
    path.unlink()
    return unpacked


def _opened(path: Path, packed: str) -> gzip.GzipFile | bz2.BZ2File:
    return gzip.open(path, "rb") if packed == ".gz" else bz2.open(path, "rb")
