"""How a Job of the demo ended."""

from typing import Any

import pytest

from tools.cluster.errors import ClusterError
from tools.demo import jobs


@pytest.mark.parametrize(
    ("conditions", "succeeded"),
    [
        ([], None),
        ([("Complete", "False")], None),
        ([("SuccessCriteriaMet", "True")], None),
        ([("SuccessCriteriaMet", "True"), ("Complete", "True")], True),
        ([("FailureTarget", "True"), ("Failed", "True")], False),
    ],
)
def test_a_job_has_ended_when_its_last_condition_says_so(
    conditions: list[tuple[str, str]], succeeded: bool | None
) -> None:
    found: dict[str, Any] = {"status": {"conditions": [{"type": kind, "status": value} for kind, value in conditions]}}

    assert jobs.outcome(found) is succeeded


def test_a_job_that_somebody_deleted_is_not_waited_for() -> None:
    with pytest.raises(ClusterError, match="deleted"):
        jobs.outcome(None)
