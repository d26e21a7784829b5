"""Follows the chain through lines and segments, and finds where it is broken."""

from collections.abc import Callable

from perennial.agent.auditlog.lines import BadLine, Line, read_line
from perennial.agent.auditlog.segments import split_lines
from perennial.api.contract.audit import AuditFinding, AuditPosition, AuditProblem

Seen = Callable[[Line], None]


class Chain:
    """Walks through segments in order. After a break it goes on from what it found, so one change is told once.

    Attributes:
        first: position of the first line; None before it.
        last: position of the last line that belongs to the chain; None before the first, without an anchor.
        closed: whether the last segment ended with a closing line.
        lines: number of lines.
        findings: breaks, up to `most`.
        more: number of breaks beyond those.
    """

    def __init__(self, anchor: AuditPosition | None, most: int = 50) -> None:
        """Start behind a known position; None: the first line is taken as it is."""
        self.first: AuditPosition | None = None
        self.last = anchor
        self.closed = False
        self.lines = 0
        self.findings: list[AuditFinding] = []
        self.more = 0
        self._most = most
        self._hash_known = True

    def segment(self, name: str, data: bytes, *, newest: bool, seen: Seen = lambda _: None) -> None:
        """Check a segment. `seen` is called with each line that has the form of one, whether sound or not."""
        self.closed = False
        number = 0
        for number, raw in enumerate(split_lines(data), start=1):
            self.lines += 1
            if self.closed:
                self._tell("AfterClosing", name, number, "the line stands behind the one that closes the segment")
            try:
                line = read_line(raw)
            except BadLine as error:
                self._tell("Unreadable", name, number, str(error))
                self._skip()
                continue
            self._check(line, name, number)
            seen(line)
        if not newest and not self.closed:
            self._tell("Unclosed", name, number, "the segment does not end with its closing line: its end is missing")

    def _check(self, line: Line, name: str, number: int) -> None:
        at = line.position
        self.first = self.first or at
        self.closed = self.closed or line.entry is None
        if not line.sound:
            self._tell("Altered", name, number, f"line {at.sequence} is not as it was written: its hash does not match")
            expected = at.sequence if self.last is None else self.last.sequence + 1
            self._go_on(AuditPosition(sequence=expected, hash=at.hash))
            return
        if self.last is None:
            self._go_on(at)
            return
        expected = self.last.sequence + 1
        if at.sequence < expected:
            doubled = at == self.last
            where = "is there twice" if doubled else f"stands behind line {self.last.sequence}"
            self._tell("Doubled" if doubled else "Reordered", name, number, f"line {at.sequence} {where}")
            return
        if at.sequence > expected:
            lines = (
                f"line {expected} is" if at.sequence == expected + 1 else f"lines {expected} to {at.sequence - 1} are"
            )
            self._tell("Missing", name, number, f"{lines} missing before line {at.sequence}")
        elif self._hash_known and line.previous != self.last.hash:
            self._tell(
                "Unlinked",
                name,
                number,
                f"line {at.sequence} was not written behind the line that now stands before it",
            )
        self._go_on(at)

    def _go_on(self, at: AuditPosition) -> None:
        self.last, self._hash_known = at, True

    def _skip(self) -> None:
        """Count an unreadable line, whose hash is not known."""
        if self.last is not None:
            self.last = AuditPosition(sequence=self.last.sequence + 1, hash=self.last.hash)
            self._hash_known = False

    def tell(self, finding: AuditFinding) -> None:
        """Add a break that was found elsewhere."""
        if len(self.findings) < self._most:
            self.findings.append(finding)
        else:
            self.more += 1

    def _tell(self, problem: AuditProblem, segment: str, line: int, message: str) -> None:
        self.tell(AuditFinding(problem=problem, segment=segment, line=line, message=message))
