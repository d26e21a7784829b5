"""`perennial agent audit append`: nothing is lost, nothing is written twice, nothing is written behind a break."""

import hashlib
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from perennial.agent.audit.append import append
from perennial.agent.auditlog.verify import verify
from perennial.agent.storage.client import ObjectStore
from perennial.agent.storage.conditional import Retention
from perennial.agent.storage.errors import AgentError
from perennial.api.contract.audit import AuditAppend, AuditPosition, AuditVerify
from perennial.core.audit import GENESIS, outbox_digest
from tests.unit.agent.audit.support import URI, MemoryLog, at, entry, outbox, write
from tests.unit.agent.conftest import S3Server


def sequences(store: MemoryLog) -> dict[str, list[int]]:
    return {
        key.removeprefix(URI): [json.loads(line)["sequence"] for line in store.objects[key].splitlines()]
        for key in store.segments
    }


def test_a_day_has_a_segment_and_the_one_before_is_closed(tmp_path: Path) -> None:
    store = MemoryLog()
    write(store, tmp_path, 1, 1, 2)
    done = write(store, tmp_path, 3, 3)

    assert sequences(store) == {"2026/01/01.jsonl": [1, 2, 3], "2026/01/03.jsonl": [4]}
    closing = json.loads(store.objects[f"{URI}2026/01/01.jsonl"].splitlines()[-1])
    first = json.loads(store.objects[f"{URI}2026/01/03.jsonl"])
    assert "entry" not in closing
    assert first["previous"] == closing["hash"]
    assert (done.sequence, done.hash, done.appended) == (4, first["hash"], 1)
    assert AuditPosition.model_validate_json(store.objects[f"{URI}head.json"]).sequence == 4


def test_a_repeated_outbox_adds_nothing_even_after_midnight(tmp_path: Path) -> None:
    store = MemoryLog()
    write(store, tmp_path, 1, 1, 2)
    again = write(store, tmp_path, 1, 1, 2)
    later = write(store, tmp_path, 2, 2, 3)
    third = write(store, tmp_path, 2, 1, 2, 3)

    assert (again.appended, again.repeated) == (0, 2)
    assert (later.appended, later.repeated) == (1, 1)
    assert (third.appended, third.repeated) == (0, 3)
    assert third.outbox == outbox_digest([entry(3), entry(2), entry(1)])


def test_an_empty_outbox_reports_where_the_log_ends(tmp_path: Path) -> None:
    done = write(MemoryLog(), tmp_path, 1)

    assert (done.sequence, done.hash, done.appended) == (0, GENESIS.hash, 0)


def test_a_clock_that_is_behind_appends_to_the_newest_segment(tmp_path: Path) -> None:
    store = MemoryLog()
    write(store, tmp_path, 2, 1)
    write(store, tmp_path, 1, 2)

    assert sequences(store) == {"2026/01/02.jsonl": [1, 2]}


class Dying(MemoryLog):
    """Lets the writer die before one of its writes."""

    left = 10

    def append_version(
        self, uri: str, data: bytes, content_type: str, etag: str | None, retention: Retention | None = None
    ) -> bool:
        if self.left == 0:
            raise KeyboardInterrupt
        self.left -= 1
        return super().append_version(uri, data, content_type, etag, retention)


@pytest.mark.parametrize("writes", range(4))
def test_a_writer_that_dies_at_any_write_is_followed_by_its_repeat(tmp_path: Path, writes: int) -> None:
    store = Dying()
    write(store, tmp_path, 1, 1)
    store.left = writes  # close the segment, write the next, move head.json

    if writes < 3:
        with pytest.raises(KeyboardInterrupt):
            write(store, tmp_path, 2, 2, 3)
    store.left = 10
    done = write(store, tmp_path, 2, 2, 3)

    assert sequences(store) == {"2026/01/01.jsonl": [1, 2], "2026/01/02.jsonl": [3, 4]}
    assert done.appended + done.repeated == 2
    report = verify(AuditVerify(uri=URI), store)
    assert (report.result, report.lines) == ("Intact", 4)


def test_a_writer_held_up_over_midnight_does_not_append_to_a_closed_segment(tmp_path: Path) -> None:
    class Late(MemoryLog):
        interfere: Callable[[], object] | None = None

        def append_version(
            self, uri: str, data: bytes, content_type: str, etag: str | None, retention: Retention | None = None
        ) -> bool:
            act, self.interfere = self.interfere, None
            if act is not None:
                act()
            return super().append_version(uri, data, content_type, etag, retention)

    store = Late()
    write(store, tmp_path, 1, 1)
    store.interfere = lambda: write(store, tmp_path / "other", 2, 3)
    write(store, tmp_path, 1, 2)

    assert sequences(store) == {"2026/01/01.jsonl": [1, 2], "2026/01/02.jsonl": [3, 4]}
    assert verify(AuditVerify(uri=URI), store).result == "Intact"


def forged(store: MemoryLog) -> None:
    key = store.segments[0]
    store.objects[key] = store.objects[key].replace(b"0.91", b"0.99")


def cut(store: MemoryLog) -> None:
    key = store.segments[0]
    store.objects[key] = b"".join(store.objects[key].splitlines(keepends=True)[:-1])


def removed(store: MemoryLog) -> None:
    del store.objects[store.segments[0]]


def headless(store: MemoryLog) -> None:
    del store.objects[f"{URI}head.json"]


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (forged, "does not match"),
        (cut, "cut off"),
        (removed, "cut off"),
        (headless, "no head.json"),
        (lambda store: store.objects.update({f"{URI}head.json": b"{"}), "head.json is not as it was written"),
    ],
)
def test_nothing_is_written_behind_a_break(tmp_path: Path, harm: Callable[[MemoryLog], None], words: str) -> None:
    store = MemoryLog()
    write(store, tmp_path, 1, 1, 2)
    harm(store)
    before = dict(store.objects)

    with pytest.raises(AgentError, match=words) as caught:
        write(store, tmp_path, 1, 3)

    assert caught.value.failure.reason == "AuditLogBroken"
    assert store.objects == before


def test_what_the_caller_knows_is_believed_more_than_head_json(tmp_path: Path) -> None:
    store = MemoryLog()
    write(store, tmp_path, 1, 1)
    short = dict(store.objects)
    known = write(store, tmp_path, 1, 2)
    store.objects = short  # segment and head.json alike

    with pytest.raises(AgentError, match="the caller knows line 2: the end was cut off"):
        write(store, tmp_path, 1, 3, expect=AuditPosition(sequence=known.sequence, hash=known.hash))


def test_storage_that_ignores_conditions_is_refused_before_the_first_line(tmp_path: Path) -> None:
    store = MemoryLog(obeys=False)

    with pytest.raises(AgentError, match="ignores If-None-Match") as caught:
        write(store, tmp_path, 1, 1)

    assert caught.value.failure.reason == "AuditStorageUnfit"
    assert not store.segments


def test_a_lock_is_asked_for_segments_and_not_for_head_json(tmp_path: Path) -> None:
    store = MemoryLog()
    write(store, tmp_path, 1, 1, lock={"days": 3, "mode": "COMPLIANCE"})

    modes = {uri.removeprefix(URI): retention for uri, retention in store.kept.items()}
    assert modes == {"head.json": None, "2026/01/01.jsonl": Retention("COMPLIANCE", at(4))}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{}", "entries.jsonl line 1 of the outbox is no entry: id: Field required"),
        ("nonsense", "is no entry"),
        (json.dumps(entry(1).dump() | {"event": "Something"}), "event"),
        ("x" * 40_000, "longer than 32768 bytes"),
    ],
)
def test_an_outbox_that_is_none_is_refused_whole(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "entries.jsonl").write_text(text)
    store = MemoryLog()

    with pytest.raises(AgentError, match=words):
        append(AuditAppend(uri=URI, outbox=str(tmp_path)), store)

    assert not store.objects


def test_a_missing_outbox_is_named(tmp_path: Path) -> None:
    with pytest.raises(AgentError, match="cannot be read: No such file"):
        append(AuditAppend(uri=URI, outbox=str(tmp_path / "no")), MemoryLog())


def test_hidden_folders_of_a_mounted_volume_are_passed_over(tmp_path: Path) -> None:
    real = outbox(tmp_path / "..data", 1)
    (tmp_path / "entries.jsonl").symlink_to(real / "entries.jsonl")

    assert append(AuditAppend(uri=URI, outbox=str(tmp_path)), MemoryLog()).appended == 1


def test_a_log_that_another_writer_begins_in_between_is_not_broken(tmp_path: Path) -> None:
    class Overtaken(MemoryLog):
        def list(self, uri: str) -> Any:
            if not self.objects:
                write(MemoryLog(self.objects), tmp_path / "other", 1, 1)
            return super().list(uri)

    store = Overtaken()

    said = write(store, tmp_path / "own", 1, 2)

    assert (said.sequence, said.appended) == (2, 1)
    assert verify(AuditVerify(uri=URI), Overtaken()).result == "Intact"


def test_two_writers_at_once_lose_no_line(s3: S3Server, store: ObjectStore, tmp_path: Path) -> None:
    uri = f"s3://{s3.bucket()}/audit"
    failed: list[BaseException] = []

    def work(writer: int) -> None:
        try:
            for batch in range(4):
                folder = outbox(tmp_path / f"{writer}-{batch}", *(100 * writer + 10 * batch + n for n in range(3)))
                append(AuditAppend(uri=uri, outbox=str(folder), storage=s3.storage), store, lambda: at(1))
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(writer,)) for writer in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert not failed
    report = verify(AuditVerify(uri=uri), store)
    assert (report.result, report.lines) == ("Intact", 24)
    key = "audit/2026/01/01.jsonl"
    lines: list[Any] = [json.loads(line) for line in s3.read(uri.split("/")[2], key).splitlines()]
    assert len({line["entry"]["id"] for line in lines}) == 24


def test_a_lost_head_json_is_written_anew_for_who_knows_the_end(tmp_path: Path) -> None:
    store = MemoryLog()
    known = write(store, tmp_path, 1, 1)
    headless(store)

    done = write(store, tmp_path, 1, 2, expect=AuditPosition(sequence=known.sequence, hash=known.hash))

    assert AuditPosition.model_validate_json(store.objects[f"{URI}head.json"]).sequence == done.sequence == 2
    assert verify(AuditVerify(uri=URI), store).result == "Intact"


def test_the_hash_of_a_line_is_that_of_its_json_without_hash(tmp_path: Path) -> None:
    store = MemoryLog()
    write(store, tmp_path, 1, 1)
    line = store.objects[store.segments[0]]
    # What `jq -cSj 'del(.hash)'` prints.
    rest = {name: value for name, value in sorted(json.loads(line).items()) if name != "hash"}
    text = json.dumps(rest, sort_keys=True, separators=(",", ":"), ensure_ascii=False)

    assert json.loads(line)["hash"] == f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
