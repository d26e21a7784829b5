"""Polling says that data has changed when it has, and only then, without reading any of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from perennial.agent.fetch.command import fetch_inputs
from perennial.agent.poll import poll
from perennial.agent.storage.client import ObjectStore
from perennial.agent.storage.errors import AgentError
from perennial.api.common.pod import Input
from perennial.api.contract.commands import FetchInputs, PollConfig
from tests.unit.agent.conftest import S3Server


def config(*uris: str) -> PollConfig:
    return PollConfig(inputs=tuple(Input(name=f"i{number}", uri=uri) for number, uri in enumerate(uris)))


def test_the_digest_changes_with_what_lies_there_and_with_nothing_else(s3: S3Server, store: ObjectStore) -> None:
    bucket = s3.bucket()
    watched = config(f"s3://{bucket}/train/", f"s3://{bucket}/extra.csv")
    s3.put(bucket, {"train/a": b"1", "train-old/a": b"2", "extra.csv": b"x"})
    first = poll(watched, store)
    assert (first.files, first.bytes) == (2, 2)

    s3.put(bucket, {"train-old/b": b"3", "train/a": b"1"})
    assert poll(watched, store) == first

    seen = {first.digest}
    for change in ({"train/b": b""}, {"train/b": b"4"}, {"train/b": b"5"}, {"extra.csv": b"y"}):
        s3.put(bucket, change)
        seen.add(poll(watched, store).digest)
    s3.client.delete_object(Bucket=bucket, Key="train/a")
    seen.add(poll(watched, store).digest)
    assert len(seen) == 6


def test_an_empty_prefix_is_no_failure_and_a_missing_bucket_is_one(s3: S3Server, store: ObjectStore) -> None:
    bucket = s3.bucket()

    assert poll(config(f"s3://{bucket}/nothing/"), store).files == 0
    with pytest.raises(AgentError, match="bucket"):
        poll(config("s3://no-such-bucket/a/"), store)


def test_fetch_reports_the_digest_of_the_listing_that_it_pulled(
    s3: S3Server, store: ObjectStore, tmp_path: Path
) -> None:
    bucket = s3.bucket()
    watched = config(f"s3://{bucket}/train/", f"s3://{bucket}/extra.csv")
    s3.put(bucket, {"train/a": b"1", "train/sub/": b"", "extra.csv": b"x"})

    fetched = fetch_inputs(FetchInputs(inputs=watched.inputs, root=str(tmp_path)), store)

    assert fetched.listing == poll(watched, store).digest
