"""The history on a real S3 server."""

from datetime import UTC, datetime
from io import BytesIO
from typing import Any

import polars as pl
import pytest
from botocore.exceptions import ClientError

from perennial.agent.drift.command import run
from perennial.agent.drift.history.rows import SCHEMA
from perennial.agent.storage.client import ObjectStore
from perennial.agent.storage.errors import AgentError
from perennial.api.contract.commands import DriftConfig
from perennial.api.contract.messages import DriftVerdict
from perennial.api.contract.report import DriftReport
from perennial.core.failures import ACCESS_DENIED, DATA_INVALID
from tests.unit.agent.conftest import S3Server, command
from tests.unit.agent.drift.store import parquet

SAME = {"age": [float(value % 50) for value in range(400)]}
MOVED = {"age": [value + 40 for value in SAME["age"]]}


@pytest.mark.parametrize("existing", [False, True])
def test_a_write_fails_if_another_one_came_between(s3: S3Server, store: ObjectStore, existing: bool) -> None:
    uri = f"s3://{s3.bucket()}/a/history.parquet"
    if existing:
        store.put_bytes(uri, b"old")
    found = store.get_version(uri, 100)
    assert (found.data if found else None) == (b"old" if existing else None)
    store.put_bytes(uri, b"of another")
    assert not store.replace_version(uri, b"new", "text/plain", found.etag if found else None)
    assert store.get_bytes(uri, 100) == b"of another"
    newest = store.get_version(uri, 100)
    assert newest is not None
    assert store.replace_version(uri, b"new", "text/plain", newest.etag)
    assert store.get_bytes(uri, 100) == b"new"


def test_an_object_that_is_too_large_is_no_missing_one(s3: S3Server, store: ObjectStore) -> None:
    uri = f"s3://{s3.bucket()}/a"
    store.put_bytes(uri, b"12345")
    with pytest.raises(AgentError) as found:
        store.get_version(uri, 4)
    assert found.value.failure is DATA_INVALID


class Answering:
    """A client whose conditional writes are answered with a status."""

    def __init__(self, status: int, code: str) -> None:
        self.status, self.code = status, code
        self.sent: list[dict[str, Any]] = []

    def put_object(self, **parameters: Any) -> None:
        self.sent.append(parameters)
        if "IfMatch" in parameters or "IfNoneMatch" in parameters:
            answer: Any = {"Error": {"Code": self.code}, "ResponseMetadata": {"HTTPStatusCode": self.status}}
            raise ClientError(answer, "PutObject")


def test_storage_without_conditional_writes_is_written_all_the_same() -> None:
    client = Answering(501, "NotImplemented")
    assert ObjectStore(client).replace_version("s3://b/a", b"x", "text/plain", "etag")
    assert [sent.get("IfMatch") for sent in client.sent] == ["etag", None]


@pytest.mark.parametrize(
    ("status", "code"), [(412, "PreconditionFailed"), (409, "ConditionalRequestConflict"), (404, "NoSuchKey")]
)
def test_a_lost_race_is_no_failure(status: int, code: str) -> None:
    assert not ObjectStore(Answering(status, code)).replace_version("s3://b/a", b"x", "text/plain", None)


def test_a_refused_write_is_a_failure() -> None:
    with pytest.raises(AgentError) as found:
        ObjectStore(Answering(403, "AccessDenied")).replace_version("s3://b/a", b"x", "text/plain", None)
    assert found.value.failure is ACCESS_DENIED


def test_comparisons_make_a_series_that_the_next_one_tells_of(s3: S3Server, store: ObjectStore, tmp_path: Any) -> None:
    bucket = s3.bucket()
    s3.put(bucket, {"train/a.parquet": parquet(SAME), "now/a.parquet": parquet(SAME)})
    config = DriftConfig(
        storage=s3.storage,
        namespace="team",
        monitor="churn-drift",
        deployment="churn",
        digest="sha256:" + "a" * 64,
        reference=f"s3://{bucket}/train/",
        current=f"s3://{bucket}/now/",
        report=f"s3://{bucket}/reports",
        scratch=str(tmp_path / "scratch"),
    )
    for day in range(1, 8):
        if day == 5:
            s3.put(bucket, {"now/a.parquet": parquet(MOVED)})
        run(config, store, datetime(2026, 3, day, tzinfo=UTC), f"churn-drift-{day}")

    code, message = command("drift", config, tmp_path)

    assert code == 0
    assert isinstance(message, DriftVerdict)
    assert (message.drifted, message.trend) == (True, "Rising")
    report = DriftReport.model_validate_json(s3.read(bucket, "reports/churn-drift-by-hand/report.json"))
    assert report.history is not None
    assert (report.history.columns["age"].since, report.history.columns["age"].in_a_row) == ("2026-03-05T00:00:00Z", 4)
    rows = pl.read_parquet(BytesIO(s3.read(bucket, "reports/history.parquet")))
    assert rows.schema == SCHEMA
    assert rows.filter(kind="drift")["drifted"].to_list() == [False] * 4 + [True] * 4
    index = s3.read(bucket, "reports/index.html").decode()
    assert [f"./{name}/report.html" in index for name in ("churn-drift-1", "churn-drift-by-hand")] == [True, True]
    assert s3.keys(bucket, "reports/churn-drift-5/") == [
        "reports/churn-drift-5/report.html",
        "reports/churn-drift-5/report.json",
    ]
