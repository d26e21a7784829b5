import pytest

from perennial.core.repeats import is_repeated, repeat_name, repeats


@pytest.mark.parametrize("monitor", ["churn-drift", "m" * 52])
def test_a_repeated_job_stands_for_the_lost_one_alone(monitor):
    again = repeat_name(monitor, f"{monitor}-29")
    assert len(again) <= 57
    assert is_repeated(again)
    assert repeats(again, f"{monitor}-29")
    assert repeats(again, again)
    assert not repeats(again, f"{monitor}-30")


def test_any_other_job_stands_for_itself():
    assert repeats("churn-29", "churn-29")
    assert not repeats("churn-29", "churn-30")
    assert not is_repeated("churn-29")
