"""`perennial agent audit verify` finds every alteration, and says where."""

import json
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as some

from perennial.agent.auditlog.segments import name_of
from perennial.agent.auditlog.verify import verify
from perennial.agent.storage.errors import AgentError
from perennial.api.contract.audit import AuditPosition, AuditReport, AuditVerify
from perennial.core.audit import canonical, line_hash
from tests.unit.agent.audit.support import URI, MemoryLog, write


def _log() -> dict[str, bytes]:
    store = MemoryLog()
    with TemporaryDirectory() as folder:
        write(store, Path(folder), 1, 1, 2, 3)
        write(store, Path(folder), 2, 4, 5)
        write(store, Path(folder), 4, 6, 7, 8)
    return store.objects


LOG = _log()
SEGMENTS = sorted(key for key in LOG if key.endswith(".jsonl"))
LINES = {key: LOG[key].splitlines(keepends=True) for key in SEGMENTS}
PLACES = [(key, number) for key in SEGMENTS for number in range(len(LINES[key]))]
places = some.sampled_from(PLACES)


def judged(objects: dict[str, bytes], **options: object) -> AuditReport:
    return verify(AuditVerify.model_validate({"uri": URI, **options}), MemoryLog(dict(objects)))


def replaced(key: str, lines: list[bytes]) -> dict[str, bytes]:
    return {**LOG, key: b"".join(lines)}


def rehashed(line: bytes, **changes: object) -> bytes:
    document = json.loads(line) | changes
    return canonical(document | {"hash": line_hash(document)}) + b"\n"


def test_a_log_as_it_was_written_is_intact() -> None:
    report = judged(LOG)

    assert (report.result, report.segments, report.lines, report.not_checked) == ("Intact", 3, 10, ())


@given(places, some.data())
def test_any_changed_byte_is_found(place: tuple[str, int], data: some.DataObject) -> None:
    key, number = place
    lines = list(LINES[key])
    at = data.draw(some.integers(0, len(lines[number]) - 1))
    other = data.draw(some.integers(0, 255).filter(lambda byte: byte != lines[number][at]))
    lines[number] = lines[number][:at] + bytes([other]) + lines[number][at + 1 :]

    report = judged(replaced(key, lines))

    assert report.result == "Broken"
    assert report.findings[0].segment == key.removeprefix(URI)
    assert report.findings[0].line in {number + 1, number + 2}


@given(places)
def test_any_line_that_was_changed_and_hashed_anew_is_found(place: tuple[str, int]) -> None:
    key, number = place
    lines = list(LINES[key])
    entry = json.loads(lines[number]).get("entry", {}) | {"message": "forged"}
    lines[number] = rehashed(lines[number], entry=entry)

    assert judged(replaced(key, lines)).result == "Broken"


@given(places)
def test_any_missing_line_is_found(place: tuple[str, int]) -> None:
    key, number = place

    assert judged(replaced(key, LINES[key][:number] + LINES[key][number + 1 :])).result == "Broken"


@given(places, places)
def test_any_two_lines_that_change_places_are_found(one: tuple[str, int], other: tuple[str, int]) -> None:
    changed = {key: list(lines) for key, lines in LINES.items()}
    changed[one[0]][one[1]], changed[other[0]][other[1]] = LINES[other[0]][other[1]], LINES[one[0]][one[1]]

    report = judged({**LOG, **{key: b"".join(lines) for key, lines in changed.items()}})

    assert report.result == ("Intact" if one == other else "Broken")


@given(places, places)
def test_any_line_that_is_put_in_again_is_found(source: tuple[str, int], target: tuple[str, int]) -> None:
    key, number = target
    again = LINES[source[0]][source[1]]

    assert judged(replaced(key, [*LINES[key][:number], again, *LINES[key][number:]])).result == "Broken"
    assert judged(replaced(key, [*LINES[key], again])).result == "Broken"


@given(places)
def test_any_forged_line_that_is_put_in_is_found(place: tuple[str, int]) -> None:
    key, number = place
    before = json.loads(LINES[key][number])
    forged = rehashed(LINES[SEGMENTS[0]][0], sequence=before["sequence"] + 1, previous=before["hash"])

    report = judged(replaced(key, [*LINES[key][: number + 1], forged, *LINES[key][number + 1 :]]))

    # Behind the last line it is as the next writer would have written it: only who may write the bucket guards that.
    assert report.result == ("Intact" if place == PLACES[-1] else "Broken")


@given(some.sampled_from(SEGMENTS))
def test_any_missing_segment_is_found(key: str) -> None:
    assert judged({name: data for name, data in LOG.items() if name != key}).result == "Broken"
    assert judged({**LOG, key: b""}).result == "Broken"


@given(some.sampled_from(SEGMENTS), some.sampled_from(SEGMENTS), some.integers(0, 40))
def test_any_segment_that_is_copied_or_moved_is_found(source: str, target: str, days: int) -> None:
    if source != target:
        assert judged({**LOG, source: LOG[target], target: LOG[source]}).result == "Broken"
    name = URI + name_of(date.fromordinal(date(2025, 12, 20).toordinal() + days))
    if name not in LOG:
        assert judged({**LOG, name: LOG[source]}).result == "Broken"
        assert judged({**LOG, name: b""}).result == "Broken"


@given(some.integers(0, len(PLACES) - 1))
def test_any_cut_tail_is_found(kept: int) -> None:
    left = PLACES[:kept]
    objects = {key: b"".join(LINES[key][number] for name, number in left if name == key) for key in SEGMENTS}
    objects = {key: data for key, data in objects.items() if data} | {f"{URI}head.json": LOG[f"{URI}head.json"]}

    report = judged(objects)

    assert report.result == "Broken"
    assert report.findings[-1].problem == "CutTail"


def test_a_tail_that_is_cut_with_its_head_is_found_by_who_knows_the_end(tmp_path: Path) -> None:
    last = json.loads(LINES[SEGMENTS[-1]][-1])
    known = AuditPosition(sequence=last["sequence"], hash=last["hash"])
    before = json.loads(LINES[SEGMENTS[-1]][-2])
    head = canonical({"sequence": before["sequence"], "hash": before["hash"]})
    objects = {**replaced(SEGMENTS[-1], LINES[SEGMENTS[-1]][:-1]), f"{URI}head.json": head}

    assert judged(objects).result == "Intact"
    report = judged(objects, expect=known)
    assert [one.problem for one in report.findings] == ["CutTail"]
    assert "the log ends with line 9, but the caller knows line 10" in report.findings[0].message


def test_one_change_is_told_once_and_with_its_place() -> None:
    lines = list(LINES[SEGMENTS[1]])
    lines[1] = lines[1].replace(b"0.91", b"0.95")

    (finding,) = judged(replaced(SEGMENTS[1], lines)).findings

    assert (finding.problem, finding.segment, finding.line) == ("Altered", "2026/01/02.jsonl", 2)


def test_a_log_without_head_json_is_not_called_intact() -> None:
    report = judged({key: data for key, data in LOG.items() if not key.endswith("head.json")})

    assert [one.problem for one in report.findings] == ["HeadMissing"]


def test_a_period_says_what_was_not_looked_at() -> None:
    middle = judged(LOG, since="2026-01-02", until="2026-01-03T00:00:00Z")

    assert (middle.result, middle.segments, middle.lines) == ("Intact", 1, 3)
    assert "segments before 2026-01-02: the first line that was read was taken as it is" in middle.not_checked
    assert any("line 10, which head.json knows: it lies outside" in text for text in middle.not_checked)


def test_a_log_whose_old_segments_expired_is_judged_from_a_day_on() -> None:
    rest = {key: data for key, data in LOG.items() if key != SEGMENTS[0]}

    assert judged(rest).result == "Broken"
    assert judged(rest, since="2026-01-02").result == "Intact"


def test_many_breaks_are_counted_and_not_all_named() -> None:
    report = judged({**LOG, SEGMENTS[1]: b"x\n" * 200})

    assert len(report.findings) == 50
    assert report.more_findings >= 150


def test_lines_of_hostile_bytes_are_findings_and_no_crash() -> None:
    hostile = [b"[" * 60_000, b"null", b"[]", b'{"sequence":1e999}', b'{"sequence":' + b"9" * 5000 + b"}", b"\xff", b""]
    hostile += [b'{"entry":1,"sequence":1}', b"y" * 100_000, b'{"sequence":NaN,"hash":1}']

    report = judged({**LOG, SEGMENTS[0]: b"".join(line + b"\n" for line in hostile)})

    assert [one.problem for one in report.findings[: len(hostile)]] == ["Unreadable"] * len(hostile)


def test_strange_objects_are_named() -> None:
    report = judged({**LOG, f"{URI}2026/01/99.jsonl": b"x", f"{URI}note.txt": b"x"})

    assert report.not_checked == ("objects whose names are not of the log: 2026/01/99.jsonl, note.txt",)


def test_nothing_there_is_not_judged() -> None:
    with pytest.raises(AgentError, match="there is no audit log at s3://bucket/audit/"):
        judged({})
