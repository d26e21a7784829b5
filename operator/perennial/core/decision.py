"""The interface between controllers and the runtime: controllers observe a World and return a Decision.

A decision is data: children, status and Events. `runtime.controller.reconcile` carries it out in a fixed order: create
and apply, delete, status, Events.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, Literal, Protocol, TypeVar

from perennial.api.contract.audit import AuditEntry
from perennial.api.contract.settings import OperatorConfig
from perennial.core.kinds import Key, Kind, Raw
from perennial.core.reads import AnswerT, Poll


@dataclass(frozen=True)
class Create:
    """Create the child if it does not exist, and never change it: for Jobs, which are immutable."""

    manifest: Raw


@dataclass(frozen=True)
class Apply:
    """Server-side apply of the manifest. Skipped while the live object already has these fields.

    `manager` is the field manager. A second manager can own a field that an autoscaler takes over later, so that
    omitting the field from the next apply does not reset it.
    """

    manifest: Raw
    manager: str = "perennial"


@dataclass(frozen=True)
class Delete:
    """Delete a child and its dependents. `uid` protects a newer object of the same name."""

    kind: Kind
    namespace: str
    name: str
    uid: str


Action = Create | Apply | Delete


@dataclass(frozen=True)
class EventNote:
    """An Event about the resource. Posted only after the status of the decision was written."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str


@dataclass(frozen=True)
class Decision:
    """One step toward the spec."""

    status: dict[str, Any] | None
    """The complete new status in JSON form, written only if it differs; None: leave it unchanged."""
    actions: tuple[Action, ...] = ()
    events: tuple[EventNote, ...] = ()
    requeue_after: float | None = None
    """Seconds until the next reconcile without an event; 0: at once, with the status just written."""
    reads: tuple[Poll[Any], ...] = ()
    """What to poll until a later decision changes it; a changed answer causes a reconcile."""
    status_first: bool = False
    """Write status before the actions: the intent must be recorded before a child exists."""


class World(Protocol):
    """What a controller can read while it observes. All reads are in memory; none blocks."""

    def get(self, kind: Kind, namespace: str, name: str) -> Raw | None:
        """Read one object."""
        ...

    def children(self, kind: Kind, owner: Key, uid: str) -> tuple[Raw, ...]:
        """Read the objects that belong to the resource with this uid, sorted by name.

        They carry its labels, and their controller references lead to the uid: directly, or through other children
        (CronJob, Job, Deployment, ReplicaSet). An object that only carries the labels belongs to someone else.
        """
        ...

    def naming(self, kind: Kind, upstream: Key) -> tuple[Raw, ...]:
        """Read the resources of a kind whose spec names another resource (see `Controller.names`), sorted by name."""
        ...

    def serves(self, kind: Kind) -> bool:
        """Tell whether the API server has this kind; only those of `core.kinds.OPTIONAL` can be absent."""
        ...

    def answer(self, read: Poll[AnswerT]) -> AnswerT | None:
        """Newest answer to what an earlier decision asked to read; None before there is one."""
        ...


ResourceT = TypeVar("ResourceT")
ObservedT = TypeVar("ObservedT")


@dataclass(frozen=True)
class Controller(Generic[ResourceT, ObservedT]):
    """The logic of one kind, as the runtime sees it. Each of training, serving and drift exports `CONTROLLER`.

    - `parse`: raw object to model; raises pydantic's ValidationError if the spec is invalid.
    - `names`: keys of the resources that the spec of a raw object names. A change of one causes a reconcile of the
      other. Must not raise, whatever the object contains.
    - `observe`: reads the input of `decide` from the World.
    - `decide`: a pure function.
    - `facts`: what the audit log records if the decision's status is written. A pure function; the same step repeated
      after a crash gives entries with the same identities.
    """

    kind: Kind
    parse: Callable[[Raw], ResourceT]
    names: Callable[[Mapping[str, Any]], tuple[Key, ...]]
    observe: Callable[[ResourceT, World], ObservedT]
    decide: Callable[[ObservedT, OperatorConfig, datetime], Decision]
    metrics: Callable[[ResourceT], tuple["Gauge", ...]] = field(default=lambda _: ())
    facts: Callable[[ObservedT, Decision, datetime], tuple[AuditEntry, ...]] = field(default=lambda *_: ())


@dataclass(frozen=True)
class Gauge:
    """A Prometheus gauge of one resource, e.g. a drift score. Labels `namespace` and `name` are added."""

    name: str
    help: str
    value: float
    labels: tuple[tuple[str, str], ...] = ()


class ChildConflict(Exception):
    """The name of a child is taken by an object of another owner."""

    def __init__(self, kind: Kind, namespace: str, name: str, holder: str) -> None:
        """Not a dataclass, because a frozen exception cannot receive its traceback."""
        super().__init__(f"{kind.kind} {namespace}/{name} belongs to {holder}")
        self.kind = kind
        self.namespace = namespace
        self.name = name
        self.holder = holder
