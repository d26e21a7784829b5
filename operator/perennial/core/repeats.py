"""Names of Jobs that repeat a comparison whose verdict was lost."""

import re

from perennial.core.names import child_name, digest_of

_AGAIN = "again-"
_HEX = 8
_REPEATED = re.compile(rf"-{_AGAIN}([0-9a-f]{{{_HEX}}})$")
_JOB_NAME_LIMIT = 57
"""Most characters of a Job's name: its pods add six."""


def repeat_name(monitor: str, lost: str) -> str:
    """Return the name of the Job that repeats a monitor's lost one; it follows from the lost Job's."""
    return child_name(monitor, f"{_AGAIN}{digest_of(lost, _HEX)}", _JOB_NAME_LIMIT)


def is_repeated(job: str) -> bool:
    """Whether a Job repeats a lost comparison: it is not repeated in turn."""
    return _REPEATED.search(job) is not None


def repeats(job: str, other: str) -> bool:
    """Whether a Job stands for the same comparison as another: it is that Job, or repeats it."""
    found = _REPEATED.search(job)
    return job == other or (found is not None and found[1] == digest_of(other, _HEX))
