"""Termination messages are hostile until they have been checked."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perennial.api.contract.messages import DriftVerdict, Failure, Fetched, NoVerdict, Published
from perennial.api.driftmonitor.checks import CheckScore
from perennial.api.driftmonitor.status import FeatureScore
from perennial.core.failures import BUCKET_NOT_FOUND
from perennial.core.termination import (
    BadMessage,
    failure_of,
    failure_words,
    message_budget,
    parse_message,
    parse_publishing,
    parse_verdict,
)

PUBLISHED: dict[str, Any] = {
    "v": 1,
    "kind": "Published",
    "uri": "s3://models/churn/versions/0123456789ab/",
    "digest": "sha256:" + "0" * 64,
    "files": 1,
    "bytes": 10,
    "metrics": {"auc": "0.9"},
    "time": "2026-01-31T12:00:00Z",
}


def test_a_message_of_ours_is_read() -> None:
    message = parse_message(json.dumps(PUBLISHED))

    assert isinstance(message, Published)
    assert message.metrics == {"auc": "0.9"}
    assert isinstance(parse_message('{"v":1,"kind":"Fetched"}'), Fetched)


WHOLE = Published(
    uri="s3://models/churn/versions/0123456789ab/",
    digest="sha256:" + "0" * 64,
    files=3,
    bytes=10,
    time="2026-01-31T12:00:00Z",
    metrics_dropped=2,
    metrics={f"validation/segment, {number}": f'{number}, "}}' for number in range(20)},
)
TEXT = WHOLE.model_dump_json(by_alias=True)


@pytest.mark.parametrize("length", range(len(TEXT) + 1))
def test_a_published_version_survives_the_truncation_of_its_message(length: int) -> None:
    derived = WHOLE.uri
    try:
        found = parse_publishing(TEXT[:length], lambda _: derived)
    except BadMessage:
        assert '"time":"2026-01-31T12:00:00Z",' not in TEXT[:length], "digest and time are complete"
        return

    assert isinstance(found, Published)
    assert (found.uri, found.digest, found.files, found.bytes) == (WHOLE.uri, WHOLE.digest, 3, 10)
    assert found.metrics.items() <= WHOLE.metrics.items()
    assert found.metrics_dropped > 2 or length == len(TEXT) or '"uri"' not in TEXT[:length]


@pytest.mark.parametrize(
    "text",
    [
        json.dumps({**PUBLISHED, "extra": 1}),
        json.dumps({**PUBLISHED, "metrics": {f"m{i}": "1" for i in range(33)}}),
        json.dumps({**PUBLISHED, "v": 2})[:-3],
        json.dumps({**PUBLISHED, "kind": "Fetched"})[:-3],
        '{"v":1,"kind":"Fetched","inputs":[',
        "{" * 4000,
        "," * 4096,
        None,
    ],
)
def test_only_a_truncated_message_of_publish_is_completed(text: str | None) -> None:
    with pytest.raises(BadMessage):
        parse_publishing(text, lambda _: "s3://models/x/")


VERDICT = DriftVerdict(
    drifted=True,
    drifted_features=2,
    compared_features=3,
    reference_rows=1000,
    current_rows=500,
    degraded=False,
    unfair=True,
    labelled_rows=400,
    passed_over=1,
    time="2026-01-31T12:00:00Z",
    report_uri='s3://reports/a,"scores":[b/report.html',
    scores=tuple(
        CheckScore(check="fairness", metric="disparateImpact", subject="sex: F, M", value="0.2", failed=True)
        for _ in range(3)
    ),
    features=tuple(
        FeatureScore(name=f'age, "{number}"', method="psi", score="0.3", threshold="0.2", drifted=True)
        for number in range(3)
    ),
    quality_findings=('income: 12% missing, "more" than before', "a, b"),
)
VERDICT_TEXT = VERDICT.model_dump_json(by_alias=True, exclude_none=True)
LISTS = ("scores", "features", "quality_findings")


@pytest.mark.parametrize("length", range(len(VERDICT_TEXT) + 1))
def test_a_verdict_survives_the_truncation_of_its_message_or_is_rejected_whole(length: int) -> None:
    try:
        found = parse_verdict(VERDICT_TEXT[:length])
    except BadMessage:
        assert length < VERDICT_TEXT.index(',"scores":[{') + len(',"scores":['), "all results are complete"
        return

    assert isinstance(found, DriftVerdict)
    assert found.model_copy(update=dict.fromkeys(LISTS, ())) == VERDICT.model_copy(update=dict.fromkeys(LISTS, ()))
    for name in LISTS:
        kept, whole = getattr(found, name), getattr(VERDICT, name)
        assert kept == whole[: len(kept)]


SILENCE = NoVerdict(reason="WindowEmpty", message='no requests to "churn"\n\\ in the last 24h, see the capture')
SILENCE_TEXT = SILENCE.model_dump_json(by_alias=True)


@pytest.mark.parametrize("length", range(len(SILENCE_TEXT) + 1))
def test_the_reason_for_no_verdict_survives_the_truncation_of_its_message(length: int) -> None:
    try:
        found = parse_verdict(SILENCE_TEXT[:length])
    except BadMessage:
        assert '"message":"' not in SILENCE_TEXT[:length], "the reason is complete"
        return

    assert isinstance(found, NoVerdict)
    assert found.reason == "WindowEmpty"
    assert SILENCE.message.replace("\n", " ").startswith(found.message)


@pytest.mark.parametrize(
    "text",
    [
        TEXT[:-3],
        json.dumps({**json.loads(VERDICT_TEXT), "v": 2})[:-3],
        json.dumps({**json.loads(VERDICT_TEXT), "extra": 1}),
        VERDICT_TEXT.replace('"drifted":true', '"drifted":3')[:-3],
        '{"v":1,"kind":"Failure","reason":"X","message":"no',
        '{"v":1,"kind":"NoVerdict","message":"no',
        ',"scores":[' * 300,
        None,
    ],
)
def test_only_a_truncated_message_of_drift_is_completed(text: str | None) -> None:
    with pytest.raises(BadMessage):
        parse_verdict(text)


@pytest.mark.parametrize(("containers", "expected"), [(1, 4096), (3, 2457), (11, 945)])
def test_containers_of_a_pod_share_the_message_budget(containers: int, expected: int) -> None:
    assert message_budget(containers) == expected


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "panic: something",
        "[]",
        "null",
        "{" * 4000,
        json.dumps({**PUBLISHED, "kind": "Root"}),
        json.dumps({**PUBLISHED, "v": 2}),
        json.dumps({**PUBLISHED, "extra": 1}),
        json.dumps({**PUBLISHED, "uri": "https://example.com/"}),
        json.dumps({**PUBLISHED, "digest": "sha256:zz"}),
        json.dumps({**PUBLISHED, "files": -1}),
        json.dumps({**PUBLISHED, "bytes": 10**30}),
        json.dumps({**PUBLISHED, "metrics": {f"m{i}": "1" for i in range(33)}}),
        json.dumps({**PUBLISHED, "metrics": {"m": "1" * 33}}),
        json.dumps(PUBLISHED) + " " * 4096,
        json.dumps(PUBLISHED) + "\x1b[2J",
    ],
)
def test_anything_else_is_refused_without_repeating_it(text: str | None) -> None:
    with pytest.raises(BadMessage) as caught:
        parse_message(text)

    assert "panic" not in str(caught.value)
    assert "example.com" not in str(caught.value)


@given(text=st.text())
def test_no_text_brings_the_parser_down(text: str) -> None:
    with pytest.raises(BadMessage):
        parse_message(text)


def test_a_failure_is_told_from_the_rest() -> None:
    text = Failure(reason="BucketNotFound", message="no bucket").model_dump_json()

    assert failure_of(text) == Failure(reason="BucketNotFound", message="no bucket")
    assert failure_of(json.dumps(PUBLISHED)) is None
    assert failure_of("boom") is None


def test_a_sentence_of_the_agent_and_its_next_step_are_joined_without_a_full_stop() -> None:
    message = Failure(reason="BucketNotFound", message="bucket models does not exist.")

    words = failure_words(message, BUCKET_NOT_FOUND)

    assert words == "bucket models does not exist; create the bucket or correct the URI"
