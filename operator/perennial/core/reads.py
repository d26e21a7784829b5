"""What controllers ask the runtime to read again and again, and the answers.

Everything but a Gateway is read without credentials; everything with a limit of time, and what does not come from the
API server with one of size. A failed read keeps the newest answer, which
tells its own time.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Generic, TypeVar

AnswerT = TypeVar("AnswerT")


@dataclass(frozen=True)
class Poll(Generic[AnswerT]):
    """Base of all reads; the type parameter is the type of the answer."""

    address: str
    """What is read: a URL, or the text of a query."""
    every: float
    """Minimum seconds between two reads."""

    def merged(self, before: AnswerT | None, found: AnswerT) -> AnswerT:
        """Answer to keep after a read, given the one before; by default the new one."""
        del before
        return found

    def is_news(self, before: AnswerT | None, after: AnswerT) -> bool:
        """Tell whether a new answer may change a decision, so that the resource is reconciled."""
        return before != after


@dataclass(frozen=True)
class Read(Poll[str]):
    """A short text, read by HTTP GET from an address inside the cluster."""


@dataclass(frozen=True)
class Measurement:
    """Answer of the Prometheus server to a query: one number, or why there is none."""

    time: datetime
    value: float | None = None
    problem: str = ""
    known: datetime | None = None
    """Time of the newest answer that was a number."""
    began: datetime | None = None
    """Time of the first answer since the operator has started; before that nothing can be missing."""


@dataclass(frozen=True)
class GatewayFeatures:
    """What a GatewayClass lists as supported in its status or annotation, or why that is not known."""

    names: frozenset[str] = frozenset()
    problem: str = ""


@dataclass(frozen=True)
class GatewayRead(Poll[GatewayFeatures]):
    """The features of a Gateway; `address` is its namespace and name, with a slash between."""


@dataclass(frozen=True)
class QueryRead(Poll[Measurement]):
    """A PromQL query, evaluated by the Prometheus server of the operator's settings; `address` is its text."""

    window: str
    """What the answer is about, such as a step of a rollout: another window has no answer yet."""

    def merged(self, before: Measurement | None, found: Measurement) -> Measurement:
        """Remember when there was an answer first, and a number last."""
        known = found.time if found.value is not None else before.known if before is not None else None
        began = before.began if before is not None else found.time
        return replace(found, known=known, began=began)

    def is_news(self, before: Measurement | None, after: Measurement) -> bool:
        """Tell whether the number has changed, or why there is none."""
        return before is None or (before.value, before.problem) != (after.value, after.problem)
