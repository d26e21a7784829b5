"""What keeps a resource from its spec: one type for all controllers."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """Why a resource, a revision or a pod makes no progress."""

    reason: str
    """Of the condition that reports it."""
    message: str
    """What is wrong and what to do next. Stays the same while the cause does, so that a status is not rewritten."""
    fatal: bool = False
    """Neither waiting nor a retry helps: a person must change something."""
    detail: str = ""
    """Last words of the failing component; they may differ from try to try."""
