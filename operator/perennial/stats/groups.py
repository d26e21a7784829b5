"""Groups by protected attributes, and their rates of decisions and outcomes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from perennial.stats.intervals import CONFIDENCE, Estimate, Figure, Undefined, estimate, of_ratio

Bools = NDArray[np.bool_]
Rate = Literal["selection", "truePositive", "falsePositive", "precision"]
MIN_GROUP = 30
"""Minimum rows of a group: smaller ones have unreliable rates, and their members may be identified."""
SEPARATOR = " & "


@dataclass(frozen=True, eq=False)
class Judged:
    """Rows with decision, group and, if known, label.

    Attributes:
        favourable: whether the decision is favourable, shape (n,).
        deserved: whether the label is favourable, shape (n,); None without labels.
        groups: group of each row as text, shape (n,); "" if unknown, such rows are ignored.
    """

    favourable: Bools
    groups: NDArray[np.str_]
    deserved: Bools | None = None


@dataclass(frozen=True)
class GroupRates:
    """Rates of one group.

    Attributes:
        group: name of the group.
        rows: number of rows.
        rates: rates in [0, 1] with intervals; undefined ones are left out.
    """

    group: str
    rows: int
    rates: Mapping[Rate, Estimate]


def crossed(attributes: Sequence[NDArray[np.str_]]) -> NDArray[np.str_]:
    """Return the intersections of several attributes, such as "F & 60+"; unknown if any attribute is.

    Args:
        attributes: each of shape (n,), at least one.
    """
    joined = attributes[0]
    for further in attributes[1:]:
        both = np.char.add(np.char.add(joined, SEPARATOR), further)
        joined = np.where((joined == "") | (further == ""), "", both)
    return joined


def large_groups(rows: Judged, least: int = MIN_GROUP) -> tuple[str, ...]:
    """Return the groups with at least `least` rows, sorted by name."""
    names, counts = np.unique(rows.groups, return_counts=True)
    return tuple(str(name) for name, count in zip(names, counts, strict=True) if name != "" and count >= least)


def group_rates(rows: Judged, least: int = MIN_GROUP, confidence: float = CONFIDENCE) -> tuple[GroupRates, ...]:
    """Return the rates of every group with at least `least` rows."""
    found = []
    for group in large_groups(rows, least):
        rates: dict[Rate, Estimate] = {}
        for name in get_args(Rate):
            try:
                rates[name] = estimate(rate_of(rows, group, name), confidence, share=True)
            except Undefined:
                continue
        found.append(GroupRates(group, int(np.count_nonzero(rows.groups == group)), rates))
    return tuple(found)


def rate_of(rows: Judged, group: str, name: Rate) -> Figure:
    """Return a rate of a group.

    selection: P(favourable decision). truePositive: the same, given a favourable label. falsePositive: the same, given
    an unfavourable label. precision: P(favourable label | favourable decision).
    """
    inside = rows.groups == group
    if name == "selection":
        part, whole = rows.favourable & inside, inside
    else:
        if rows.deserved is None:
            raise Undefined(f"{name} rates need labels")
        whole = {
            "truePositive": inside & rows.deserved,
            "falsePositive": inside & ~rows.deserved,
            "precision": inside & rows.favourable,
        }[name]
        part = whole & (rows.deserved if name == "precision" else rows.favourable)
    try:
        return of_ratio(part.astype(np.float64), whole.astype(np.float64))
    except Undefined as error:
        raise Undefined(f"group {group} has no rows for its {name} rate") from error
