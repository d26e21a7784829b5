"""Every combination of exit-code rules, codes and endings; and rules that contradict themselves."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from perennial.api.trainingjob.policies import ExitCodes, Retry
from perennial.training.attempt.exit_codes import ruled
from perennial.training.attempt.outcomes import AttemptOutcome, Ending

BOTH = {"retry": ["128-255"], "fail": ["2"]}
ROWS = [
    # rules, code, ending without rules, ending
    (None, 1, "Failed", "Failed"),
    (None, 127, "Fatal", "Fatal"),
    ({}, 127, "Fatal", "Failed"),
    *((BOTH, code, "Failed", "Failed") for code in (128, 137, 143, 255)),
    *((BOTH, code, "Failed", "Fatal") for code in (1, 2, 3, 127)),
    *(({"fail": ["2", "10-12"]}, code, "Failed", "Fatal") for code in (2, 10, 11, 12)),
    *(({"fail": ["2", "10-12"]}, code, "Failed", "Failed") for code in (1, 3, 9, 13, 255)),
    *(({"retry": ["1"]}, code, "Failed", ending) for code, ending in ((1, "Failed"), (2, "Fatal"), (137, "Fatal"))),
    ({"retry": ["127"]}, 127, "Fatal", "Failed"),
    *((BOTH, None, ending, ending) for ending in ("Succeeded", "Disrupted", "Failed", "Fatal")),
]


@pytest.mark.parametrize(("rules", "code", "before", "after"), ROWS)
def test_an_exit_code_decides(rules: dict[str, list[str]] | None, code: int | None, before: Ending, after: str) -> None:
    retry = Retry.model_validate({"exitCodes": rules} if rules is not None else {})

    found = ruled(AttemptOutcome(before, "TrainingFailed", "words", exit_code=code), retry)

    assert found is not None
    assert found.ending == after
    assert ("not repeated: spec.retry.exitCodes." in found.message) == (after == "Fatal" and before == "Failed")


def test_nothing_is_ruled_while_the_attempt_runs() -> None:
    assert ruled(None, Retry.model_validate({"exitCodes": BOTH})) is None


@pytest.mark.parametrize(
    ("rules", "says"),
    [
        ({"retry": ["1-10"], "fail": ["10-20"]}, "exit code 10 is in retry and in fail"),
        ({"retry": ["5"], "fail": ["1-9"]}, "exit code 5 is in retry and in fail"),
        ({"retry": ["9-3"]}, "9-3 is no range"),
        ({"fail": ["200-256"]}, "200-256 is no range"),
        ({"fail": ["0"]}, "pattern"),
        ({"fail": ["-1"]}, "pattern"),
        ({"fail": []}, "at least 1"),
    ],
)
def test_rules_that_contradict_themselves_are_refused(rules: dict[str, list[str]], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        ExitCodes.model_validate(rules)
