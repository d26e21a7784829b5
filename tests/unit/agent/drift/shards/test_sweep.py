"""What earlier comparisons by shards have left is removed; what may still be needed is not."""

import os
import time
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import count

import pytest

from perennial.agent.drift.shards import sweep
from perennial.agent.drift.shards.agree import Shard
from perennial.agent.drift.shards.sweep import remove_earlier
from perennial.agent.storage import removal
from perennial.agent.storage.client import ObjectStore
from perennial.agent.storage.errors import AgentError
from perennial.agent.tables.files import Listing
from perennial.api.contract.messages import DriftVerdict, NoVerdict, ShardWritten
from perennial.core.failures import ACCESS_DENIED
from tests.unit.agent.conftest import S3Server
from tests.unit.agent.drift.captured import REPORTS, columns, config, stored
from tests.unit.agent.drift.shards.test_shards import JOB, result, shard
from tests.unit.agent.drift.store import NOW, MemoryStore

HOME = f"{REPORTS}_shards/team/churn"
OWN = f"{HOME}/churn-9/uid-9"
DAY = timedelta(days=1)
LONG_AGO = NOW - 2 * DAY


@dataclass
class ReadOnly(MemoryStore):
    """Storage whose credentials may write but not delete."""

    tried: list[str] = field(default_factory=list)

    def delete(self, uri):
        self.tried.append(uri)
        raise AgentError(ACCESS_DENIED, f"{uri}: the storage responded 403: AccessDenied")


def place(folder=OWN):
    return Shard(0, 2, HOME, folder, NOW, Listing(()), "0" * 64)


def kept(*folders, kind=MemoryStore, at=LONG_AGO):
    """Return storage with this Job's folder, and others that were written at another time."""
    names = ("files.json", "merged-by-1", "shard-00-of-02-1.parquet", "shard-01-of-02-1.parquet")
    store = kind({f"{folder}/{name}": b"{}" for folder in (OWN, *folders) for name in names})
    store.written = {uri: at for uri in store.objects if not uri.startswith(OWN)}
    return store


def left(store):
    return {uri.rsplit("/", 1)[0] for uri in store.objects}


def test_folders_that_earlier_jobs_have_left_for_a_day_are_deleted():
    store = kept(f"{HOME}/churn-1/uid-1", f"{HOME}/churn-1/uid-2", f"{HOME}/churn-10/uid-3")
    assert remove_earlier(store, place()) == 12
    assert left(store) == {OWN}


def test_a_folder_stays_until_a_day_after_the_last_of_its_objects():
    store = kept(f"{HOME}/churn-1/uid-1", f"{HOME}/churn-2/uid-2")
    store.written[f"{HOME}/churn-2/uid-2/merged-by-1"] = NOW - DAY
    assert remove_earlier(store, place()) == 4
    assert left(store) == {OWN, f"{HOME}/churn-2/uid-2"}


def test_ages_are_counted_back_from_the_start_of_this_job_by_the_clock_of_the_storage():
    store = kept(f"{HOME}/churn-1/uid-1")
    store.written |= {f"{OWN}/files.json": LONG_AGO + DAY / 2}
    assert remove_earlier(store, place()) == 0


def test_nothing_else_is_touched():
    """Other monitors, of which one has a name that begins alike, reports, and what lies beside the folders of Jobs."""
    store = kept(
        f"{HOME}-eu/churn-eu-1/uid-1",
        f"{REPORTS}_shards/other/churn/churn-1/uid-1",
        f"{REPORTS}churn-1",
        HOME,
        f"{HOME}/churn-1",
        f"{HOME}/churn-1/uid-1/deeper",
    )
    before = dict(store.objects)
    assert remove_earlier(store, place()) == 0
    assert store.objects == before


def test_without_the_list_of_this_job_nothing_is_known_to_be_older():
    store = kept(f"{HOME}/churn-1/uid-1")
    del store.objects[f"{OWN}/files.json"]
    assert remove_earlier(store, place()) == 0


def test_a_backlog_is_removed_by_several_comparisons_oldest_first(monkeypatch):
    monkeypatch.setattr(sweep, "MOST_DELETED", 6)
    store = kept(*(f"{HOME}/churn-{number}/uid" for number in range(3)))
    assert [remove_earlier(store, place()) for _ in range(4)] == [6, 6, 0, 0]
    assert left(store) == {OWN}


def test_a_folder_that_was_not_listed_to_its_end_is_left_for_later(monkeypatch):
    monkeypatch.setattr(sweep, "MOST_LISTED", 6)
    store = kept(f"{HOME}/churn-1/uid-1", f"{HOME}/churn-2/uid-2")
    assert remove_earlier(store, place()) == 4
    assert left(store) == {f"{HOME}/churn-2/uid-2", OWN}


def test_slow_storage_ends_the_deletion(monkeypatch):
    monkeypatch.setattr(removal, "AT_ONCE", 2)
    ticks = count(step=20)
    store = kept(f"{HOME}/churn-1/uid-1", f"{HOME}/churn-2/uid-2")
    assert remove_earlier(store, place(), lambda: float(next(ticks))) == 2


def compared(store, tmp_path, uid):
    asked = config(tmp_path, shards=2)
    return [shard(store, asked, index, uid=uid) for index in range(2)]


def test_the_shard_that_judges_removes_and_a_repeated_pod_still_finds_its_list(tmp_path):
    store = stored(columns(2, 150), reference=columns(1, 150))
    compared(store, tmp_path, "uid-1")
    first = {uri for uri in store.objects if uri.startswith(f"{HOME}/{JOB}/uid-1/")}
    store.written = dict.fromkeys(store.objects, LONG_AGO)
    messages = compared(store, tmp_path, "uid-2")
    assert [type(message) for message in messages] == [ShardWritten, DriftVerdict]
    assert first
    assert not first.intersection(store.objects)
    expected = result(store)
    again = compared(store, tmp_path, "uid-2")
    assert [type(message) for message in again] == [ShardWritten, DriftVerdict]
    assert result(store) == expected


def test_comparisons_without_a_verdict_remove_too(tmp_path):
    store = stored(columns(2, 20))
    compared(store, tmp_path, "uid-1")
    store.written = dict.fromkeys(store.objects, LONG_AGO)
    messages = compared(store, tmp_path, "uid-2")
    assert isinstance(messages[1], NoVerdict)
    assert not [uri for uri in store.objects if "/uid-1/" in uri]


def test_credentials_that_may_not_delete_cost_no_verdict_and_few_tries(tmp_path, caplog):
    store = ReadOnly(stored(columns(2, 150), reference=columns(1, 150)).objects)
    compared(store, tmp_path, "uid-1")
    store.written = dict.fromkeys(store.objects, LONG_AGO)
    assert isinstance(compared(store, tmp_path, "uid-2")[1], DriftVerdict)
    assert f"{REPORTS}{JOB}/report.json" in store.objects
    assert "have left stays in the storage: s3://reports/churn/_shards/team/churn/" in caplog.text
    assert "403" in caplog.text
    assert store.tried


@pytest.mark.parametrize("versioned", [False, True])
def test_a_real_server_deletes_what_is_old(s3: S3Server, store: ObjectStore, versioned: bool) -> None:
    bucket = s3.bucket()
    if versioned:
        s3.client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    home = f"s3://{bucket}/reports/_shards/team/churn"
    names = [f"churn-{job}/uid-{job}/{name}" for job in (1, 2, 3) for name in ("files.json", "shard-00.parquet")]
    s3.put(bucket, {f"reports/_shards/team/churn/{name}": b"x" for name in names})
    before = time.time() - 2 * DAY.total_seconds()
    for name in names:
        if name.startswith("churn-1/"):
            os.utime(s3.folder / bucket / "reports/_shards/team/churn" / name, (before, before))
    here = replace(place(f"{home}/churn-3/uid-3"), home=home)
    assert remove_earlier(store, here) == 2
    assert [key.split("/")[4] for key in s3.keys(bucket)] == ["churn-2", "churn-2", "churn-3", "churn-3"]
    assert remove_earlier(store, here) == 0
    store.delete(f"{home}/churn-1/uid-1/files.json")  # no error: another pod was faster
