"""`perennial agent replay`: captured requests on storage, a candidate behind a real HTTP server."""

from datetime import UTC, datetime, timedelta

import pytest

from perennial.agent.inference.client import ModelClient
from perennial.agent.records.files import encoded
from perennial.agent.replay.command import run
from perennial.agent.replay.comparison import Compared, compare
from perennial.agent.replay.requests import newest_requests
from perennial.agent.replay.sending import send
from perennial.api.contract.commands import ReplayConfig
from perennial.api.contract.messages import Replayed
from tests.support.models import columns_of, predictions, serving
from tests.unit.agent.conftest import S3Server, command
from tests.unit.agent.drift.store import DIGEST, NOW, MemoryStore, capture_file, capture_uri, record, tensors

CAPTURE = "s3://capture/churn/"


WHOLE = object()


def captured(amount=50, at=NOW - timedelta(minutes=5), body=WHOLE, **changes):
    """Return records whose answers are the value that was asked about."""
    return [
        record(
            tensors(x=[float(index)]) if body is WHOLE else body,
            at=at + timedelta(milliseconds=index),
            **{"method": "POST", "response": predictions([float(index)]), **changes},
        )
        for index in range(amount)
    ]


def stored(*records, at=NOW):
    return MemoryStore({capture_uri(CAPTURE, at): capture_file(*records)})


def config_for(candidate, stable=None, *, scratch, **changes):
    given = {"rate": 100_000, **changes}
    return ReplayConfig(uri=CAPTURE, digest=DIGEST, candidate=candidate, stable=stable, scratch=str(scratch), **given)


def same(body):
    return 200, predictions(columns_of(body)["x"])


def shifted(by):
    return lambda body: (200, predictions([value + by for value in columns_of(body)["x"]]))


def test_a_candidate_that_answers_as_stable_did_agrees_in_every_row(tmp_path):
    with serving(same) as candidate, serving(same) as stable:
        found = run(config_for(candidate.url, stable.url, scratch=tmp_path), stored(*captured()), NOW)

    assert (found.requests, found.agreement.value, found.agreement.count) == (50, "1", 50)
    assert float(found.agreement.low) > 0.9
    assert (found.distance.value, found.errors.value) == ("0", "0")
    assert float(found.latency.low) <= float(found.latency.value) <= float(found.latency.high)
    assert candidate.paths == ["/v2/models/m/infer"] * 50
    assert len(stable.bodies) == 50


def test_other_answers_disagree_by_their_distance(tmp_path):
    with serving(shifted(0.5)) as candidate:
        found = run(config_for(candidate.url, scratch=tmp_path), stored(*captured()), NOW)

    assert found.agreement.value == "0"
    assert found.distance.value == "0.5"
    assert found.latency.value is None
    assert found.latency.why


def test_an_unanswered_request_is_an_error_and_no_agreement(tmp_path):
    def half(body):
        return same(body) if columns_of(body)["x"][0] % 2 else (500, {})

    with serving(half) as candidate:
        found = run(config_for(candidate.url, scratch=tmp_path), stored(*captured()), NOW)

    assert (found.errors.value, found.agreement.value) == ("0.5", "0.5")
    assert found.error == "25 of 50 requests: HTTP 500"


def test_only_whole_successful_requests_of_the_revision_are_replayed(tmp_path):
    others = [
        *captured(1, digest="sha256:" + "b" * 64),
        *captured(2, revision="other"),
        *captured(3, status=500),
        *captured(4, body=None, requestTruncated=True),
        *captured(5, response=None, responseTruncated=True),
        *captured(6, path="http://elsewhere/x"),
        b"{broken\n",
        b"[]\n",
    ]
    with serving(same) as candidate:
        store = stored(*captured(30), *others)
        found = run(config_for(candidate.url, scratch=tmp_path, revision="churn-1"), store, NOW)

    assert found.requests == 30
    assert set(found.skipped) == {
        "3 answered by another revision",
        "3 not answered with 200",
        "9 without a whole JSON body",
        "6 not a POST to a path",
        "2 malformed",
    }


def test_requests_that_lack_what_capture_hid_are_not_sent_and_the_next_step_is_told(tmp_path):
    with serving(same) as candidate:
        found = run(config_for(candidate.url, scratch=tmp_path), stored(*captured(30, hidden=True), *captured(5)), NOW)

    assert candidate.bodies == []
    assert found.agreement.value is None
    assert found.agreement.why == (
        "5 captured requests can be replayed, but at least 20 are needed; of 30 others capture.redact or capture.hash "
        "hid values: add this gate once a revision serves that captures without them"
    )
    assert found.skipped == ("30 with values that redact or hash hid",)


def test_the_newest_requests_are_replayed_and_older_files_are_not_even_read(tmp_path):
    old, new = NOW - timedelta(hours=3), NOW - timedelta(minutes=1)
    store = MemoryStore(
        {
            capture_uri(CAPTURE, old): capture_file(*captured(40, at=old)),
            capture_uri(CAPTURE, new): capture_file(*captured(40, at=new)),
        }
    )
    with serving(same) as candidate:
        found = run(config_for(candidate.url, scratch=tmp_path, requests=30), store, NOW)

    assert [columns_of(body)["x"][0] for body in candidate.bodies] == [float(index) for index in range(10, 40)]
    assert found.oldest == new.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert store.downloaded == [capture_uri(CAPTURE, new)]


def test_parquet_files_are_read_and_a_corrupt_file_is_told(tmp_path):
    uri = capture_uri(CAPTURE, NOW).replace(".jsonl.gz", ".parquet")
    store = MemoryStore(
        {uri: encoded(captured(25), "Parquet"), capture_uri(CAPTURE, NOW, name="broken"): b"\x1f\x8bnothing"}
    )
    with serving(same) as candidate:
        found = run(config_for(candidate.url, scratch=tmp_path), store, NOW)

    assert (found.requests, found.agreement.value) == (25, "1")
    assert found.skipped == ("1 in a file that cannot be read",)


def test_too_few_requests_are_not_judged(tmp_path):
    found = run(config_for("http://127.0.0.1:9", scratch=tmp_path), stored(*captured(3)), NOW)

    assert found.requests == 0
    assert found.agreement.value is None
    assert "3 captured requests can be replayed, but at least 20" in found.agreement.why


def test_requests_are_spread_over_time_and_end_with_it(tmp_path):
    moment = [0.0]

    def sleep(seconds):
        moment[0] += seconds

    with serving(same) as candidate:
        config = config_for(candidate.url, scratch=tmp_path, rate=20, seconds=2)
        requests = newest_requests(config, stored(*captured(50)), tmp_path, NOW).requests
        client = ModelClient(candidate.url, 5)
        sent = send(requests, client, None, config, clock=lambda: moment[0], sleep=sleep)

    assert (len(sent.failed), sent.late) == (40, 10)


@pytest.mark.parametrize(
    ("captured_answer", "given", "options", "expected"),
    [
        (predictions([1.0, 2.0]), predictions([1.0, 2.5]), {}, Compared(2, 1, 0.5, 2)),
        (predictions(["a", "b"]), predictions(["a", "c"]), {}, Compared(2, 1)),
        (predictions([1.0]), predictions([1.05]), {"tolerance": 0.1}, Compared(1, 1, pytest.approx(0.05), 1)),
        (predictions([0.4, 0.6]), predictions([0.1, 0.4]), {"threshold": 0.5}, Compared(2, 1, 0.5, 2)),
        (
            {"predictions": [[0.1, 0.9], [0.6, 0.4]]},
            {"predictions": [[0.4, 0.6], [0.4, 0.6]]},
            {"threshold": 0.5},
            Compared(2, 1, pytest.approx(1.0), 4),
        ),
        (predictions([1.0, 2.0]), predictions([1.0]), {}, Compared(2, 0)),
        (predictions([1.0]), predictions([1.0], name="other"), {}, Compared(1, 0)),
        (predictions([float("nan")]), predictions([float("nan")]), {}, Compared(1, 1)),
        (predictions([1.0]), predictions([float("nan")]), {}, Compared(1, 0)),
        ({"answer": [1, {"a": True}]}, {"answer": [1, {"a": True}]}, {}, Compared(1, 1)),
        ({"answer": True}, {"answer": 1}, {}, Compared(1, 0)),
        ({"answer": 1.0}, {"answer": 1}, {}, Compared(1, 1)),
        ({"answer": 1}, [1], {}, Compared(1, 0)),
        (predictions([1.0]), "text", {}, Compared(1, 0)),
    ],
)
def test_answers_are_compared_row_by_row(captured_answer, given, options, expected):
    assert compare(captured_answer, given, **{"tolerance": 1e-6, **options}) == expected


def test_a_deep_answer_ends_without_a_crash():
    deep: object = 1
    for _ in range(100_000):
        deep = [deep]

    assert compare({"x": deep}, {"x": deep}, 0.0).agreeing == 1


def test_the_command_reads_s3_and_leaves_a_message(s3: S3Server, tmp_path):
    bucket, now = s3.bucket(), datetime.now(UTC)
    key = capture_uri("s3://b/capture/", now).removeprefix("s3://b/")
    s3.put(bucket, {key: capture_file(*captured(at=now))})
    with serving(shifted(1)) as candidate:
        config = config_for(candidate.url, scratch=tmp_path / "scratch", storage=s3.storage)
        code, message = command("replay", config.model_copy(update={"uri": f"s3://{bucket}/capture/"}), tmp_path)

    assert code == 0
    assert isinstance(message, Replayed)
    assert (message.requests, message.agreement.value, message.distance.value) == (50, "0", "1")
