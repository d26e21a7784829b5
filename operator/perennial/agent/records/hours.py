"""Names of capture files: date=YYYY-MM-DD/hour=HH/<name>, in UTC."""

import re
from datetime import UTC, datetime

_RECORDS = re.compile(r"[^._/][^/]*\.(?:jsonl\.gz|parquet)")
_DEPTH = 2
"""Folders between the root and a capture file: date=... and hour=..."""


def hour_of(moment: datetime) -> datetime:
    """Return the hour (UTC) that a moment lies in."""
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def folder_of_hour(root: str, hour: datetime) -> str:
    """Return the prefix of the files of one hour; `root` ends in a slash."""
    return f"{root}date={hour:%Y-%m-%d}/hour={hour:%H}/"


def is_capture_file(name: str) -> bool:
    """Whether a file, by its name below the root, is one that `capture` writes: directly in the folder of an hour."""
    return name.count("/") == _DEPTH and _RECORDS.fullmatch(name.rsplit("/", 1)[-1]) is not None
