"""`show` brings an object through a log unharmed."""

from __future__ import annotations

import io

import pytest

from perennial.agent.show import show
from perennial.agent.storage.client import ObjectStore
from perennial.agent.storage.errors import AgentError
from perennial.api.contract.commands import ShowConfig
from perennial.cli.agent_pod import decoded
from perennial.cli.errors import CliError
from tests.unit.agent.conftest import S3Server


def test_what_is_shown_is_what_lies_there(s3: S3Server, store: ObjectStore) -> None:
    bucket, page = s3.bucket(), bytes(range(256)) * 400
    s3.put(bucket, {"report.html": page})
    out = io.StringIO()
    show(ShowConfig(uri=f"s3://{bucket}/report.html"), store, out)
    logged = [f"2026-01-31T12:00:00Z {line}" for line in ['{"level":"info"}', *out.getvalue().splitlines()]]
    assert decoded(logged) == page
    with pytest.raises(CliError, match="whole output"):
        decoded(logged[:-1])


def test_a_missing_object_is_an_error_of_the_table(s3: S3Server, store: ObjectStore) -> None:
    with pytest.raises(AgentError) as caught:
        show(ShowConfig(uri=f"s3://{s3.bucket()}/gone"), store, io.StringIO())
    assert caught.value.failure.reason == "ObjectNotFound"
