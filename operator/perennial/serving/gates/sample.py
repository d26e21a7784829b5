"""What was counted of the requests of one revision, over the pods that were read."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import reduce
from operator import add

from perennial.core.traffic import Counters, Traffic

READ_SECONDS = 5.0
MOST_PODS = 16
"""Pods of a revision that are read at most: all pods of a revision get the same kind of requests."""
STALE = timedelta(seconds=12 * READ_SECONDS)


@dataclass(frozen=True)
class Sample:
    """Requests of one revision since its window began."""

    counted: Counters = field(default_factory=Counters)
    pods: int = 0
    """Pods that should have been read."""
    read: int = 0
    """Pods that were."""
    newest: datetime | None = None
    """Time of the newest reading."""
    began: datetime | None = None
    """Of the first attempt to read; None: the operator has not tried yet."""

    def is_fresh(self, now: datetime) -> bool:
        """Tell whether any pod was read lately."""
        return self.newest is not None and now - self.newest <= STALE


def sample_of(answers: tuple[Traffic | None, ...]) -> Sample:
    """Sum the newest readings of the pods of a revision."""
    known = [answer for answer in answers if answer is not None]
    times = [answer.time for answer in known if answer.time is not None]
    return Sample(
        counted=reduce(add, (answer.counted for answer in known), Counters()),
        pods=len(answers),
        read=len(times),
        newest=max(times, default=None),
        began=min((answer.began for answer in known), default=None),
    )
