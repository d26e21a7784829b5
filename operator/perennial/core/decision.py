"""What a room decides: the children to make, the status to write, and when to look again.

A decision is data. `runtime.reconcile` carries it out, always in this order: create and apply, delete, status, Events.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, Literal, Protocol, TypeVar

from perennial.api.contract.settings import OperatorConfig
from perennial.core.kinds import Key, Kind, Raw


@dataclass(frozen=True)
class Create:
    """Make the child once and leave it: for Jobs, which are immutable. An own one that exists already is fine."""

    manifest: Raw


@dataclass(frozen=True)
class Apply:
    """Server-side apply of the fields given. Skipped while the live object still holds them.

    `manager` is the field manager; a second one may own a field that a controller (an autoscaler) takes over later,
    so that leaving it out of the next apply does not reset it.
    """

    manifest: Raw
    manager: str = "perennial"


@dataclass(frozen=True)
class Delete:
    """Delete a child, with all that belongs to it. `uid` guards against a newer object of the same name."""

    kind: Kind
    namespace: str
    name: str
    uid: str


Action = Create | Apply | Delete


@dataclass(frozen=True)
class EventNote:
    """An Event about the resource: posted only after the status that tells of it was written."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str


@dataclass(frozen=True)
class Read:
    """An address inside the cluster that the runtime GETs again and again, without credentials and bounded in size.

    `World.answer` has the newest answer; another answer wakes the resource.
    """

    url: str
    every: float
    """Seconds between two reads, at least."""


@dataclass(frozen=True)
class Decision:
    """One step toward the spec."""

    status: dict[str, Any] | None
    """The whole new status (JSON form), or None to leave it. Written only if it differs."""
    actions: tuple[Action, ...] = ()
    events: tuple[EventNote, ...] = ()
    requeue_after: float | None = None
    """Seconds after which to look again without an event; 0: at once, with the status just written."""
    read: Read | None = None
    """What to read until a later decision wants something else, or nothing."""
    status_first: bool = False
    """Write status before the actions: the intention must be on record before a child exists."""


class World(Protocol):
    """Reads of the cache that a room may make while it observes. All are in memory; none blocks."""

    def get(self, kind: Kind, namespace: str, name: str) -> Raw | None:
        """Return the object, or None."""
        ...

    def children(self, kind: Kind, owner: Key) -> tuple[Raw, ...]:
        """Return objects that carry the owner's labels (`perennial.dev/kind`, `perennial.dev/name`), by name."""
        ...

    def naming(self, kind: Kind, upstream: Key) -> tuple[Raw, ...]:
        """Return resources of a kind whose spec names another resource (see `Room.names`), by name."""
        ...

    def answer(self, url: str) -> str | None:
        """Return the newest answer to a `Read` of this resource, or None."""
        ...


ResourceT = TypeVar("ResourceT")
ObservedT = TypeVar("ObservedT")


@dataclass(frozen=True)
class Controller(Generic[ResourceT, ObservedT]):
    """One resource's logic, as the runtime sees it. Each of training, serving and drift exports `ROOM`.

    - `parse`: raw object → model; raises pydantic's ValidationError on a spec that cannot work.
    - `names`: keys of the resources that a raw object names. A change of either end wakes the other.
      Never raises, whatever the object holds.
    - `observe`: gathers what deciding needs, from the cache only.
    - `decide`: pure.
    """

    kind: Kind
    parse: Callable[[Raw], ResourceT]
    names: Callable[[Mapping[str, Any]], tuple[Key, ...]]
    observe: Callable[[ResourceT, World], ObservedT]
    decide: Callable[[ObservedT, OperatorConfig, datetime], Decision]
    metrics: Callable[[ResourceT], tuple["Gauge", ...]] = field(default=lambda _: ())


@dataclass(frozen=True)
class Gauge:
    """A Prometheus gauge of one resource, e.g. a drift score. Labels `namespace` and `name` are added."""

    name: str
    help: str
    value: float
    labels: tuple[tuple[str, str], ...] = ()


class ChildConflict(Exception):
    """A child's name is taken by an object that is not ours."""

    def __init__(self, kind: Kind, namespace: str, name: str, holder: str) -> None:
        """Keep what is taken, and by whom. No dataclass: a frozen one cannot take its traceback."""
        super().__init__(f"{kind.kind} {namespace}/{name} belongs to {holder}")
        self.kind = kind
        self.namespace = namespace
        self.name = name
        self.holder = holder
