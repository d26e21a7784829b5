"""Every reason that the controller gives, as a constant or in place, is documented."""

from __future__ import annotations

import re
from pathlib import Path

import perennial.training
from perennial.training.reasons import REASONS

DOCUMENTED = {item.reason for item in REASONS}
SOURCES = sorted(Path(perennial.training.__file__).parent.rglob("*.py"))
GIVEN = re.compile(
    r'(?:Progress\(|Outcome\(\s*"\w+",|EventNote\(\s*(?:"\w+"|kind),|ready\(|Wanted\(\w+, "\w+",)\s*"([A-Z]\w+)"'
)


def test_every_reason_in_the_code_is_documented() -> None:
    given = {reason for path in SOURCES for reason in GIVEN.findall(path.read_text(encoding="utf-8"))}

    assert {"RunStarted", "Running", "DeadlineExceeded", "Suspended"} <= given
    assert given <= DOCUMENTED
