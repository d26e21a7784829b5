"""How a reason of a condition is documented. Each room has a table of its own; the reference is generated from them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ReasonDoc:
    """One reason, for people who met it."""

    reason: str
    condition: str
    """Types of the conditions that give it, with commas between."""
    meaning: str
    next_step: str
