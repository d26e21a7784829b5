"""Reads the log, one segment after the other, and reports every place where it is not as it was written."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from perennial.agent.auditlog.chain import Chain, Seen
from perennial.agent.auditlog.head import contradiction, read_head
from perennial.agent.auditlog.lines import Line
from perennial.agent.auditlog.segments import (
    HEAD,
    MOST_BYTES,
    Listing,
    LogStore,
    Segment,
    day_of,
    folder_of,
    list_log,
    object_uri,
)
from perennial.agent.storage.errors import AgentError
from perennial.agent.storage.versions import KeptVersion
from perennial.agent.text import cut
from perennial.api.contract.audit import (
    LONGEST_LINE,
    AuditFinding,
    AuditPosition,
    AuditReport,
    AuditVerify,
)
from perennial.core.audit import GENESIS
from perennial.core.failures import AUDIT_BROKEN, DATA_INVALID, OBJECT_NOT_FOUND
from perennial.core.times import parse_time

_MOST_NAMED = 5
Kept = dict[str, list[KeptVersion]]


@dataclass
class _Notes:
    """What is gathered beside the chain's own findings."""

    unchecked: list[str] = field(default_factory=list)
    hashes: dict[int, str] = field(default_factory=dict)
    wanted: frozenset[int] = frozenset()

    def seen(self, line: Line) -> None:
        # Only the few that are asked for, so that memory does not grow with the log.
        if line.position.sequence in self.wanted:
            self.hashes[line.position.sequence] = line.position.hash


def verify(config: AuditVerify, store: LogStore) -> AuditReport:
    """Check the chain. Memory is bounded by the largest segment.

    Raises:
        AgentError: ObjectNotFound, if nothing is there; or as in `core.failures`, if something cannot be read. Then the
            log is not judged.
    """
    uri = config.uri
    head, problem = _head(store, uri)
    listing = list_log(store, uri)
    if not listing.segments and head is None and problem is None and config.expect is None:
        raise AgentError(OBJECT_NOT_FOUND, f"there is no audit log at {folder_of(uri)}")
    if listing.segments and head is None and problem is None and _head(store, uri) != (None, None):
        return verify(config, store)  # a writer has begun the log in between
    chosen = _within(listing, config)
    known = [(position, who) for position, who in ((head, HEAD), (config.expect, "the caller")) if position is not None]
    notes = _Notes(wanted=frozenset(position.sequence for position, _ in known))
    # A log begins with line 1, unless the caller says that earlier days are not to be looked at.
    chain = Chain(None if config.since else GENESIS)
    if config.since:
        notes.unchecked.append(f"segments before {config.since}: the first line that was read was taken as it is")
    kept = _versions(store, uri) if config.versions else {}
    for segment in chosen:
        _segment(chain, store, uri, segment, newest=segment == listing.segments[-1], seen=notes.seen, kept=kept)
    _strangers(listing, notes)
    if config.versions:
        _hidden(chain, listing, kept, notes)
    if problem is not None:
        chain.tell(problem)
    elif head is None and listing.segments:
        chain.tell(AuditFinding(problem="HeadMissing", message=f"{HEAD} was removed: the end cannot be checked by it"))
    read_to_end = not listing.segments or (bool(chosen) and chosen[-1] == listing.segments[-1])
    _ends(chain, known, notes, read_to_end=read_to_end, ranged=bool(config.since))
    return AuditReport(
        result="Broken" if chain.findings else "Intact",
        uri=uri,
        segments=len(chosen),
        lines=chain.lines,
        first=chain.first,
        last=chain.last,
        findings=tuple(chain.findings),
        more_findings=chain.more,
        not_checked=tuple(notes.unchecked),
    )


def _head(store: LogStore, uri: str) -> tuple[AuditPosition | None, AuditFinding | None]:
    try:
        found = read_head(store, uri)
    except AgentError as error:
        if error.failure not in (AUDIT_BROKEN, DATA_INVALID):
            raise
        return None, AuditFinding(problem="Unreadable", segment=HEAD, message=cut(error.message, 512))
    return (found[0] if found else None), None


def _within(listing: Listing, config: AuditVerify) -> tuple[Segment, ...]:
    since = parse_time(config.since).date() if config.since else None
    until = parse_time(config.until).date() if config.until else None
    return tuple(
        one for one in listing.segments if (since is None or one.day >= since) and (until is None or one.day <= until)
    )


def _segment(
    chain: Chain, store: LogStore, uri: str, segment: Segment, *, newest: bool, seen: Seen, kept: Kept
) -> None:
    name = segment.name
    try:
        found = store.get_version(object_uri(uri, name), MOST_BYTES)
    except AgentError as error:
        if error.failure is not DATA_INVALID:
            raise
        chain.tell(AuditFinding(problem="Unreadable", segment=name, message=cut(error.message, 512)))
        return
    if found is None:
        chain.tell(AuditFinding(problem="Missing", segment=name, message="it was removed while the log was read"))
        return
    if not found.data:
        chain.tell(AuditFinding(problem="Missing", segment=name, line=0, message="the segment is empty"))
    chain.segment(name, found.data, newest=newest, seen=seen)
    for version in kept.get(name, ()):
        if not version.newest and not version.deleted:
            end = store.version_end(uri, version, LONGEST_LINE)
            if not _begins(found.data, version.size, end):
                chain.tell(_replaced(name, version))


def _replaced(name: str, version: KeptVersion) -> AuditFinding:
    about = f"version {version.version} ({version.size} bytes), which the bucket has kept"
    message = cut(f"{about}, is not the beginning of what stands there now", 512)
    return AuditFinding(problem="Replaced", segment=name, message=message)


def _begins(data: bytes, size: int, end: bytes) -> bool:
    """Whether an older version is the beginning of the segment.

    Its last line suffices: at the same place, with the same hash, it stands for all lines before it.
    """
    return size <= len(data) and data[size - len(end) : size] == end


def _versions(store: LogStore, uri: str) -> Kept:
    kept: Kept = {}
    prefix = folder_of(uri).removeprefix("s3://").split("/", 1)[1]
    for version in store.versions(uri):
        kept.setdefault(version.key.removeprefix(prefix), []).append(version)
    return kept


def _hidden(chain: Chain, listing: Listing, kept: Kept, notes: _Notes) -> None:
    """Tell about segments that only versions show, and about a bucket that keeps none."""
    there = {segment.name for segment in listing.segments}
    for name, versions in kept.items():
        if day_of(name) is not None and (name not in there or any(one.deleted for one in versions)):
            message = "the segment was deleted; the bucket has kept its versions"
            chain.tell(AuditFinding(problem="Deleted", segment=name, message=message))
    if all(one.version == "null" for versions in kept.values() for one in versions):
        notes.unchecked.append("versions: the bucket keeps none")


def _strangers(listing: Listing, notes: _Notes) -> None:
    names = listing.strangers
    if names:
        more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
        shown = ", ".join(cut(name, 60) for name in names[:_MOST_NAMED])
        notes.unchecked.append(f"objects whose names are not of the log: {shown}{more}")


def _ends(
    chain: Chain,
    known: Iterable[tuple[AuditPosition, str]],
    notes: _Notes,
    *,
    read_to_end: bool,
    ranged: bool,
) -> None:
    """Compare the lines with positions that are known from elsewhere."""
    first = chain.first.sequence if chain.first else 0
    for position, who in known:
        end = chain.last.sequence if chain.last else 0
        outside = (ranged and position.sequence < max(first, 1)) or (not read_to_end and position.sequence > end)
        if outside or (ranged and chain.first is None):
            notes.unchecked.append(f"line {position.sequence}, which {who} knows: it lies outside of what was read")
            continue
        problem = contradiction(position, who, 0 if not ranged else first, chain.last, notes.hashes)
        if problem is not None:
            chain.tell(AuditFinding(problem="CutTail", message=problem))
