"""Facts with their source, grouped in links of a chain. A fact without a value says why it is not known."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Fact:
    """One thing that is known, or not.

    Attributes:
        name: what it is about.
        value: None if it is not known.
        source: where the value is recorded.
        why: why it is not known.
    """

    name: str
    value: str | None
    source: str = ""
    why: str = ""

    def dump(self) -> dict[str, Any]:
        """JSON form."""
        if self.value is None:
            return {"name": self.name, "known": False, "why": self.why}
        return {"name": self.name, "known": True, "value": self.value, "source": self.source}


@dataclass(frozen=True)
class Link:
    """Facts about one link of the chain."""

    title: str
    facts: tuple[Fact, ...]

    def dump(self) -> dict[str, Any]:
        """JSON form."""
        return {"title": self.title, "facts": [fact.dump() for fact in self.facts]}


def known(name: str, value: str | None, source: str, why: str = "") -> Fact:
    """A fact; without a value it is not known, for the given reason."""
    return Fact(name, value, source) if value else unknown(name, why)


def unknown(name: str, why: str) -> Fact:
    """A fact that is not known."""
    return Fact(name, None, why=why)


def lines_of(links: Iterable[Link]) -> list[str]:
    """Lines of the chain: a title, and below it a line for each fact."""
    lines: list[str] = []
    for link in links:
        lines.append(link.title)
        width = max((len(fact.name) for fact in link.facts), default=0)
        lines += [f"  {fact.name:<{width}}  {_value(fact)}" for fact in link.facts]
    return [clean(line) for line in lines]


def _value(fact: Fact) -> str:
    return fact.value if fact.value is not None else f"not known: {fact.why or 'not recorded'}"


def clean(text: str) -> str:
    """Replace control characters: captured requests and manifests may contain any, and terminals obey them."""
    return "".join(character if character.isprintable() else "?" for character in text)
