"""Divides texts of JSON into their values and a template, the text around them, so that many are decoded together.

The requests of a deployment differ in their values only. Texts with one template are decoded once for the template, and
once for all values of all of them, in one array of JSON. A text that cannot be divided is left to the caller.

Values are taken from three places: all of an array of scalars under `data`, `instances` or `predictions`, a string or
number under `id`, `requestId`, `time` or `latencyMs`, and a whole array of records, objects with scalars, under
`instances`, `dataframe_records`, `request` and the like. The quotation mark before the colon ends a key in every valid
text, so the values lie outside of strings, and other ones in their place leave the rest of the document as it is.
"""

import gc
import json
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any, Generic, TypeVar

from perennial.agent.tables.table import Scalar

_SCALARS = r'[^\[\]"\\{}]*+(?:"[^"\\]*+"[^\[\]"\\{}]*+)*+'
_SCALAR = r'"[^"\\]*+"|[-+.0-9eE]++'
_RECORD = r'\{[^\[\]"\\{}]*+(?:"[^"\\]*+(?:\\.[^"\\]*+)*+"[^\[\]"\\{}]*+)*+\}'
_RECORDS = rf"\[{_RECORD}(?:, ?{_RECORD})*+\]"
_LIST = rf"{_RECORDS}|\[(?!\s*\]){_SCALARS}\]"
"""An array that is one value of its slot, whatever its length: of records; or of predictions, one for each of them."""
_VALUES = re.compile(
    r'("(?:d(?:ata": ?\[++|ataframe_records": ?(?=\[\{))|i(?:d": ?(?!\[)|nstances": ?(?:(?=\[\{)|\[++))'
    r'|predictions": ?(?:(?=\[[^\[])|\[++)|re(?:questId": ?(?!\[)|(?:quest|sponse)": ?(?=\[\{))'
    r'|time": ?(?!\[)|latencyMs": ?(?!\[)))'
    rf"((?<=\[){_SCALARS}(?=\])|(?<!\[)(?:{_SCALAR})(?=[,}} ])|{_LIST})"
)
"""The key of a value, and the value."""
_BARE = re.compile(_RECORDS)
_OF_SCALAR = re.compile(r'"(?:id|requestId|time|latencyMs)": ?\Z')
_OF_PREDICTIONS = re.compile(r'"predictions": ?\Z')
_MARK = ",[],"
"""Follows the values of each slot. No value equals its array, which is empty as no array of a slot is."""
_MOST_TEMPLATES = 1000
_MOST_PATTERNS = 64
_LONGEST_TEMPLATE = 16_384
_LONGEST_TEXT = 2**20
_AGAIN = 8
"""Texts of one template in a row after which a pattern of it is tried first, which takes half the time of a search."""
_MISSES = 32
_PAUSE = 512
"""Texts left to the caller after so many in a row without a template, as the attempt costs a third of decoding one."""

T = TypeVar("T")


@dataclass(frozen=True)
class Slot:
    """Stands in the document of a template for the values of an array, for one value, or for an array of records.

    Attributes:
        start: where its values start among those of a text.
        values: number of values.
    """

    start: int
    values: int


@dataclass(frozen=True)
class Template(Generic[T]):
    """What texts have in common.

    Attributes:
        plan: what the caller makes of the document with slots.
        stride: number of values of a text, with a mark after each slot.
        marks: where the marks are.
    """

    plan: T
    stride: int
    marks: tuple[int, ...]

    def values(self, contents: Sequence[str], texts: int) -> list[Scalar] | None:
        """Decode the contents of all slots of some texts; `stride` values for each.

        Returns:
            The values; None if a content is no JSON, or has another number of values than its slot.
        """
        try:
            with _without_collection():
                found: list[Any] = json.loads(f"[{_MARK.join(contents)},[]]")
        except ValueError:
            return None
        if len(found) != texts * self.stride:
            return None
        fits = all(found[at :: self.stride].count([]) == texts for at in self.marks)
        return found if fits else None


class Templates(Generic[T]):
    """Finds the templates of texts, and remembers them.

    Args:
        plan: returns what to do with the texts of a template, given its document; None: they are left to the caller.
    """

    def __init__(self, plan: Callable[[object], T | None]) -> None:
        self._plan = plan
        self._known: dict[tuple[str, ...], Template[T] | None] = {}
        self._missed = self._pause = self._again = 0
        self._last: Template[T] | None = None
        self._patterns: dict[tuple[str, ...], re.Pattern[str]] = {}
        self._pattern: re.Pattern[str] | None = None

    def find(self, text: str) -> tuple[Template[T], Sequence[str]] | None:
        """Return the template of a text and the contents of its slots; None if it has none of use."""
        if self._pattern is not None and self._last is not None and (match := self._pattern.fullmatch(text)):
            return self._last, match.groups()
        if self._pause:
            self._pause -= 1
            return None
        parts = ["", "", text, ""] if text.startswith("[{") and _BARE.fullmatch(text) else _VALUES.split(text)
        contents = parts[2::3]
        del parts[2::3]
        outside = tuple(parts)
        template = self._known[outside] if outside in self._known else self._learned(text, outside, contents)
        if template is None:
            self._missed += 1
            self._pause = _PAUSE if self._missed % _MISSES == 0 else 0
            return None
        self._missed = 0
        self._repeated(template, outside)
        return template, contents

    def _repeated(self, template: Template[T], outside: tuple[str, ...]) -> None:
        """Note that a template was found by a search, to try its pattern first if that happens again and again."""
        self._again = self._again + 1 if template is self._last else 0
        self._last, self._pattern = template, self._patterns.get(outside)
        if self._pattern is None and self._again >= _AGAIN and len(self._patterns) < _MOST_PATTERNS:
            self._pattern = self._patterns[outside] = _pattern(outside)

    def _learned(self, text: str, outside: tuple[str, ...], contents: Sequence[str]) -> Template[T] | None:
        if len(self._known) >= _MOST_TEMPLATES or len(text) > _LONGEST_TEXT or not contents:
            return None
        slots = _slots(contents)
        if slots is None or sum(map(len, outside)) > _LONGEST_TEMPLATE:
            return None
        plan = self._plan(_document(outside, slots))
        marks = tuple(slot.start + slot.values for slot in slots)
        self._known[outside] = None if plan is None else Template(plan, marks[-1] + 1, marks)
        return self._known[outside]


class Batch(Generic[T]):
    """Texts of one template, in their order."""

    def __init__(self) -> None:
        self._template: Template[T] | None = None
        self._contents: list[str] = []
        self._texts: list[str] = []
        self._characters = 0

    def fits(self, template: Template[T], most: int, characters: int) -> bool:
        """Whether a text can be added: its template is that of the others, which are fewer and shorter than allowed."""
        same = template is self._template and len(self._texts) < most and self._characters < characters
        return same or self._template is None

    def add(self, template: Template[T], contents: Sequence[str], text: str) -> None:
        """Add a text and the contents of its slots."""
        self._template = template
        self._contents += contents
        self._texts.append(text)
        self._characters += len(text)

    def take(self) -> tuple[Template[T] | None, list[str], list[str]]:
        """Return the template, the contents of all texts and the texts, and forget them."""
        taken = self._template, self._contents, self._texts
        self._template, self._contents, self._texts, self._characters = None, [], [], 0
        return taken


@contextmanager
def _without_collection() -> Iterator[None]:
    """Collect no cycles for a while: JSON has none, and looking for them takes a third of the time of decoding it."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _slots(contents: Sequence[str]) -> list[Slot] | None:
    """Return a slot for each content, None if one has no values or is no JSON."""
    slots, start = [], 0
    for content in contents:
        try:
            amount = len(json.loads(f"[{content}]"))
        except ValueError:
            return None
        if not amount:
            return None
        slots.append(Slot(start, amount))
        start += amount + 1
    return slots


def _pattern(outside: Sequence[str]) -> re.Pattern[str]:
    """Return what matches the texts of a template, with a group for each slot."""
    starts = map("".join, zip(outside[:-1:2], outside[1::2], strict=True))
    slots = (f"{re.escape(start)}({_value_after(start)})" for start in starts)
    return re.compile("".join(slots) + re.escape(outside[-1]))


def _value_after(start: str) -> str:
    """Return the pattern of the value that follows a key."""
    if start.endswith("["):
        return _SCALARS
    if _OF_SCALAR.search(start):
        return _SCALAR
    return _LIST if _OF_PREDICTIONS.search(start) else _RECORDS


def _document(outside: Sequence[str], slots: Sequence[Slot]) -> object:
    """Decode a template with its slots in place of values; None if it is no JSON."""
    # Digits that no number of the template starts with tell slots from its own numbers.
    prefix = next(text for text in map(str, count(9_000_001)) if not any(text in part for part in outside))
    places = [f"{prefix}{index}" for index in range(len(slots))]

    def number(text: str) -> object:
        return slots[int(text.removeprefix(prefix))] if text.startswith(prefix) else int(text)

    starts = map("".join, zip(outside[:-1:2], outside[1::2], strict=True))
    text = "".join(start + place for start, place in zip(starts, places, strict=True)) + outside[-1]
    try:
        document: object = json.loads(text, parse_int=number)
    except (ValueError, RecursionError):
        return None
    return document
