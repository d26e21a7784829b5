"""HTML as values: every text is escaped, since names and messages come from the cluster and are not trusted."""

from collections.abc import Iterable
from html import escape

from perennial.cli.nodes import SYMBOLS, State

_VOID = frozenset({"meta", "link", "input"})


class Html(str):
    """Text that is HTML already. Only this module makes it, from parts that it has escaped."""

    __slots__ = ()


Child = str | Html | None
Attribute = str | int | float | bool | None


def tag(name: str, /, *children: Child, **attributes: Attribute) -> Html:
    """An element. A child that is not `Html` is escaped; `cls` stands for class, `_` in a name for `-`."""
    told = "".join(_attribute(key, value) for key, value in attributes.items())
    if name in _VOID:
        return Html(f"<{name}{told}>")
    return Html(f"<{name}{told}>{join(children)}</{name}>")


def join(children: Iterable[Child]) -> Html:
    """Elements and texts one after the other."""
    return Html("".join(child if isinstance(child, Html) else escape(child or "") for child in children))


def _attribute(key: str, value: Attribute) -> str:
    if value is None or value is False:
        return ""
    name = "class" if key == "cls" else key.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{escape(str(value))}"'


def document(head: Html, body: Html) -> str:
    """A whole page in English."""
    return f"<!doctype html>{tag('html', head, body, lang='en')}\n"


def badge(state: State, word: str) -> Html:
    """A state as a symbol and a word, since color alone tells nothing to many people."""
    symbol = tag("span", SYMBOLS[state][0], aria_hidden="true")
    return tag("span", symbol, " ", word, cls=f"badge {state}")


def table(caption: str, heads: tuple[str, ...], rows: Iterable[tuple[Child, ...]], *, numeric: str = "") -> Html:
    """A table whose rows become cards on a phone. The first cell names the row; heads in `numeric` align right."""
    right = frozenset(numeric.split(","))
    head = tag("tr", *(tag("th", name, scope="col", cls="num" if name in right else None) for name in heads))
    body = (
        tag(
            "tr",
            *(
                tag(
                    "td" if index else "th",
                    cell,
                    scope=None if index else "row",
                    data_head=name,
                    cls=" ".join(word for word in ("num" * (name in right), "none" * (not cell)) if word) or None,
                )
                for index, (name, cell) in enumerate(zip(heads, row, strict=True))
            ),
        )
        for row in rows
    )
    return tag("table", tag("caption", caption, cls="unseen"), tag("thead", head), tag("tbody", *body), cls="cards")


def facts(pairs: Iterable[tuple[str, str]]) -> Html:
    """Names with values."""
    return tag("dl", *(tag("div", tag("dt", name), tag("dd", text, title=text)) for name, text in pairs), cls="facts")
