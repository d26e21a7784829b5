"""The one exception users of these tools meet."""


class ClusterError(Exception):
    """A failure a person can act on: what is wrong, where, and what to do.

    The command line prints it without a traceback and exits with 1.
    """

    def __init__(self, what: str, *, where: str = "", fix: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.fix = fix

    def __str__(self) -> str:
        """Several lines, ready for a terminal."""
        parts = [self.what]
        if self.where:
            parts.append(f"  where: {self.where}")
        if self.fix:
            parts.append("  what to do: " + self.fix.replace("\n", "\n    "))
        return "\n".join(parts)


def tail(text: str, lines: int = 12) -> str:
    """The last lines of a log, indented, for the end of an error message."""
    kept = [line for line in text.splitlines() if line.strip()][-lines:]
    return "\n".join(f"    | {line[:300]}" for line in kept)
