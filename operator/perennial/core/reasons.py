"""Documentation of condition reasons. Each controller has a table; the reference page is generated from them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ReasonDoc:
    """Meaning and next step of one reason."""

    reason: str
    condition: str
    """Types of the conditions with this reason, comma-separated."""
    meaning: str
    next_step: str
