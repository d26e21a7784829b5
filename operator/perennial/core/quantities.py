"""Parses and compares Kubernetes quantities."""

import re
from decimal import Context, Decimal

_SUFFIXES: dict[str, Decimal] = {
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    "": Decimal(1),
    "k": Decimal(10**3),
    "M": Decimal(10**6),
    "G": Decimal(10**9),
    "T": Decimal(10**12),
    "P": Decimal(10**15),
    "E": Decimal(10**18),
    "Ki": Decimal(2**10),
    "Mi": Decimal(2**20),
    "Gi": Decimal(2**30),
    "Ti": Decimal(2**40),
    "Pi": Decimal(2**50),
    "Ei": Decimal(2**60),
}
_QUANTITY = re.compile(r"([+-]?(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+))(n|u|m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?")
_LONGEST = 64
"""Characters. Values of any length are compared as quantities; the API server's canonical form is never this long."""
_EXACT = Context(prec=128)
"""Digits enough for the longest quantity with any suffix."""


def parse_quantity(text: str) -> Decimal | None:
    """Value of `500m`, `2Gi`, `1`, ...; None if the text is not a quantity."""
    match = _QUANTITY.fullmatch(text) if len(text) <= _LONGEST else None
    return _EXACT.multiply(Decimal(match[1]), _SUFFIXES[match[2] or ""]) if match else None


def same_quantity(first: object, second: object) -> bool:
    """Tell whether two values are the same quantity: the API server stores `1000m` as `1`."""
    if isinstance(first, list | dict) or isinstance(second, list | dict):
        return False
    left, right = parse_quantity(str(first)), parse_quantity(str(second))
    return left is not None and left == right
