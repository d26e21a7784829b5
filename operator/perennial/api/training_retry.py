"""How failed attempts of a training are repeated, and which exit codes say that repeating helps."""

from typing import Annotated, NamedTuple

from pydantic import Field, model_validator

from perennial.api.base import Model

CodeRange = Annotated[str, Field(max_length=7, pattern=r"^[1-9][0-9]{0,2}(-[1-9][0-9]{0,2})?$")]
"""One exit code, `2`, or several, `128-255`."""

CodeRanges = Annotated[tuple[CodeRange, ...], Field(min_length=1, max_length=16)]

_HIGHEST = 255


class Span(NamedTuple):
    """A range of exit codes, both ends included."""

    first: int
    last: int

    def __contains__(self, code: object) -> bool:
        """Tell whether a code lies within."""
        return isinstance(code, int) and self.first <= code <= self.last


def spans(ranges: CodeRanges | None) -> tuple[Span, ...]:
    """Return ranges as numbers."""
    ends = (text.split("-") for text in ranges or ())
    return tuple(Span(int(item[0]), int(item[-1])) for item in ends)


class ExitCodes(Model):
    """Which exit codes of the code, other than 0, are worth another attempt."""

    retry: CodeRanges | None = Field(
        None,
        description='Codes after which the attempt is repeated, such as ["128-255"] for what was killed by a signal. '
        "Where this is set, codes in neither list end the run.",
    )
    fail: CodeRanges | None = Field(
        None,
        description='Codes that end the run at once, such as ["2"]. Where only this is set, all others are repeated.',
    )

    @model_validator(mode="after")
    def _apart(self) -> "ExitCodes":
        again, never = spans(self.retry), spans(self.fail)
        for span in (*again, *never):
            if span.first > span.last or span.last > _HIGHEST:
                raise ValueError(f"{span.first}-{span.last} is no range of exit codes; write 1-255, the smaller first")
        twice = next(((a, b) for a in again for b in never if a.first <= b.last and b.first <= a.last), None)
        if twice is not None:
            both = f"{max(twice[0].first, twice[1].first)}"
            raise ValueError(f"exit code {both} is in retry and in fail; take it out of one of them")
        return self


class Retry(Model):
    """How failed attempts are repeated."""

    limit: int = Field(3, ge=0, le=100, description="Failed attempts that are repeated. Disruptions do not count.")
    exit_codes: ExitCodes | None = Field(
        None,
        description="Exit codes of the training code that end the run at once, or that alone are repeated. Unset: all "
        "are repeated but 126 and 127, with which a shell says that a command is missing. Disruptions and failures of "
        "fetch and publish do not follow it.",
    )
