"""Exit-code rules in every combination, contradictory rules, and delays between attempts."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from perennial.api.trainingjob.policies import ExitCodes, Retry
from perennial.core.times import parse_time
from perennial.training.attempt.outcomes import AttemptOutcome, Ending
from perennial.training.attempt.retry import apply_exit_codes, retry_delay, retry_time, seconds_until_attempt
from tests.support.builders import NOW

NOON = parse_time(NOW)

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

    found = apply_exit_codes(AttemptOutcome(before, "TrainingFailed", "words", exit_code=code), retry)

    assert found is not None
    assert found.ending == after
    assert ("not retried: spec.retry.exitCodes." in found.message) == (after == "Fatal" and before == "Failed")


def test_nothing_is_ruled_while_the_attempt_runs() -> None:
    assert apply_exit_codes(None, Retry.model_validate({"exitCodes": BOTH})) is None


@pytest.mark.parametrize(
    ("rules", "says"),
    [
        ({"retry": ["1-10"], "fail": ["10-20"]}, "exit code 10 is in both retry and fail"),
        ({"retry": ["5"], "fail": ["1-9"]}, "exit code 5 is in both retry and fail"),
        ({"retry": ["9-3"]}, "9-3 is not a range"),
        ({"fail": ["200-256"]}, "200-256 is not a range"),
        ({"fail": ["0"]}, "pattern"),
        ({"fail": ["-1"]}, "pattern"),
        ({"fail": []}, "at least 1"),
    ],
)
def test_rules_that_contradict_themselves_are_refused(rules: dict[str, list[str]], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        ExitCodes.model_validate(rules)


def test_delays_double_up_to_five_minutes() -> None:
    delays = [retry_delay(number) for number in (1, 2, 3, 4, 5, 6, 7, 8, 10**6)]

    assert delays == [5, 10, 20, 40, 80, 160, 300, 300, 300]
    assert seconds_until_attempt(retry_time(NOON, 160), NOON) == 160


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "0900-01-01"])
def test_an_attempt_without_a_valid_time_starts_now(text: str) -> None:
    assert seconds_until_attempt(text, NOON) == 0


def test_an_attempt_whose_time_was_edited_to_a_later_one_starts_now() -> None:
    assert seconds_until_attempt("2026-01-31T12:05:00Z", NOON) == 300
    assert seconds_until_attempt("2099-01-01T00:00:00Z", NOON) == 0
