"""Every reason that the room gives is documented once, and every documented one is short enough for a condition."""

from __future__ import annotations

import re
from pathlib import Path

import perennial.training
from perennial.training.reasons import REASONS

DOCUMENTED = {item.reason for item in REASONS}
SOURCES = sorted(Path(perennial.training.__file__).parent.glob("*.py"))
GIVEN = re.compile(
    r'(?:Progress\(|Outcome\(\s*"\w+",|EventNote\(\s*(?:"\w+"|kind),|ready\(|Wanted\(\w+, "\w+",)\s*"([A-Z]\w+)"'
)


def test_no_reason_is_documented_twice() -> None:
    assert len(DOCUMENTED) == len(REASONS)


def test_reasons_fit_into_conditions() -> None:
    assert all(re.fullmatch(r"[A-Za-z][A-Za-z0-9]{0,63}", reason) for reason in DOCUMENTED)
    assert all(item.meaning.endswith(".") and item.next_step.endswith(".") for item in REASONS)


def test_every_reason_in_the_code_is_documented() -> None:
    given = {reason for path in SOURCES for reason in GIVEN.findall(path.read_text(encoding="utf-8"))}

    assert {"RunStarted", "Running", "DeadlineExceeded", "Suspended"} <= given
    assert given <= DOCUMENTED
