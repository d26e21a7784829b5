"""The table of the agent's failures has one row per code and per reason."""

from perennial.core.failures import TABLE, by_code, by_reason


def test_codes_and_reasons_are_unique_and_found_again() -> None:
    assert len({failure.code for failure in TABLE}) == len({failure.reason for failure in TABLE}) == len(TABLE)
    for failure in TABLE:
        assert by_code(failure.code) is failure
        assert by_reason(failure.reason) is failure


def test_codes_stay_clear_of_those_of_shells_and_signals() -> None:
    assert all(64 <= failure.code <= 113 for failure in TABLE)
    assert by_code(1) is None
    assert by_reason("Nothing") is None
