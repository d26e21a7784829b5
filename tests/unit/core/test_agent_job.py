"""The Jobs that run the agent alone: what ends them at once, and what their pods may not do."""

from __future__ import annotations

from typing import Any

import pytest

from perennial.core.agent_job import agent_job_spec
from perennial.core.failures import DATA_INVALID, TRANSFER_FAILED


def made(account: str | None = None) -> dict[str, Any]:
    return agent_job_spec(
        {"name": "drift"}, metadata={}, volumes=(), options={"priorityClassName": "low"}, account=account, deadline=60
    )


def test_a_failure_that_no_retry_can_fix_ends_the_job_and_a_disruption_costs_none() -> None:
    ignored, ended = made()["podFailurePolicy"]["rules"]
    assert (ignored["action"], ended["action"]) == ("Ignore", "FailJob")
    assert ended["onExitCodes"]["containerName"] == "drift"
    assert DATA_INVALID.code in ended["onExitCodes"]["values"]
    assert TRANSFER_FAILED.code not in ended["onExitCodes"]["values"]


@pytest.mark.parametrize(("account", "named"), [("reader", "reader"), ("", None), (None, None)])
def test_the_pod_has_no_token_and_an_account_only_if_one_is_named(account: str | None, named: str | None) -> None:
    pod = made(account)["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert (pod.get("serviceAccountName"), pod["priorityClassName"]) == (named, "low")
