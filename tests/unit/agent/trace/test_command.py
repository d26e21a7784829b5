"""`perennial agent trace`: from an id to the captured request, the manifest of its model and the verdicts around it."""

import io
import json
from datetime import timedelta

import pytest

from perennial.agent.records.files import encoded
from perennial.agent.storage.errors import AgentError
from perennial.agent.trace.command import run, trace
from perennial.agent.trace.search import find_request
from perennial.api.contract.messages import SHOWN_PREFIX
from perennial.api.contract.report import DriftReport, Side
from perennial.api.contract.trace import KnownVersion, TraceConfig, Traced
from perennial.cli.agent_pod import decoded
from perennial.cli.errors import CliError
from perennial.cli.lineage.trace import trace_by_own_credentials
from perennial.core.failures import ACCESS_DENIED, OBJECT_NOT_FOUND
from perennial.core.times import format_time
from tests.unit.agent.conftest import S3Server
from tests.unit.agent.drift.store import (
    NOW,
    Listed,
    MemoryStore,
    capture_file,
    capture_uri,
    entry,
    manifest,
    record,
    tensors,
)

CAPTURE, OUTPUT, REPORTS = "s3://capture/churn/", "s3://models/churn/", "s3://reports/churn/"
HOUR = timedelta(hours=1)
MODEL = manifest().model_copy(update={"metrics": {"auc": "0.9"}, "parameters": {"depth": "6"}})
VERSION = f"{OUTPUT}versions/{MODEL.digest.removeprefix('sha256:')[:12]}/"


def config_for(scratch, prediction="p-7", since=24 * HOUR, **changes):
    return TraceConfig(
        uri=CAPTURE,
        id=prediction,
        namespace="team",
        deployment="churn",
        since=format_time(NOW - since),
        until=format_time(NOW),
        scratch=str(scratch),
        **changes,
    )


def made(prediction="p-7", at=NOW, **changes):
    given = {"id": prediction, "method": "POST", "digest": MODEL.digest, "response": {"outputs": [1]}, **changes}
    return record(tensors(name=["Ada"]), at=at, **given)


def stored(*records, at=NOW, name="churn-1-pod-0"):
    return {capture_uri(CAPTURE, at, name): capture_file(*records)}


def document(version):
    return version.model_dump_json(by_alias=True, exclude_none=True).encode()


def report(job, at, **changes):
    given = {
        "job": job,
        "time": format_time(at),
        "namespace": "team",
        "monitor": "watch",
        "deployment": "churn",
        "digest": MODEL.digest,
        "drifted": True,
        "drifted_features": 2,
        "compared_features": 5,
        "share_threshold": 0.3,
        "reference": Side(uri="s3://a/", description="reference", rows=10),
        "current": Side(uri="s3://b/", description="current", rows=10),
        "features": (),
        **changes,
    }
    return {f"{REPORTS}{job}/report.json": DriftReport(**given).to_json()}


class TimedStore(MemoryStore):
    """Objects that were written at the time that a report states, or at NOW."""

    def list(self, uri):
        for item in super().list(uri):
            text = self.objects[f"s3://{uri.removeprefix('s3://').split('/', 1)[0]}/{item.key}"]
            times = [
                NOW + HOUR * hours for hours in range(-300, 300) if format_time(NOW + HOUR * hours).encode() in text
            ]
            yield Listed(item.key, item.size, item.relative, item.etag, times[0] if times else NOW)


def test_the_request_is_found_with_its_model_and_without_its_payload(tmp_path):
    store = MemoryStore(
        {**stored(made("other"), made(path="/v2/models/m/infer?ssn=123")), f"{VERSION}manifest.json": document(MODEL)}
    )
    found = trace(config_for(tmp_path, versions=(KnownVersion(digest=MODEL.digest, uri=VERSION),)), store)

    assert found.searched.ended == "Found"
    assert (found.searched.files, found.searched.records) == (1, 2)
    assert (found.request.id, found.request.digest, found.request.status) == ("p-7", MODEL.digest, 200)
    assert (found.request.has_request, found.request.request, found.request.path) == (True, None, "/v2/models/m/infer")
    assert (found.version.uri, found.version.run, found.version.metrics) == (VERSION, "churn-1", {"auc": "0.9"})
    assert b"Ada" not in document(found)
    assert b"ssn" not in document(found)


def test_the_payload_is_shown_when_it_is_asked_for(tmp_path):
    found = trace(config_for(tmp_path, payload=True), MemoryStore(stored(made(path="/infer?age=41"))))

    assert found.request.request == tensors(name=["Ada"])
    assert found.request.response == {"outputs": [1]}
    assert found.request.path == "/infer?age=41"


@pytest.mark.parametrize("form", ["JsonLines", "Parquet"])
def test_both_formats_are_searched_for_the_id_and_for_the_header(tmp_path, form):
    suffix = {"JsonLines": ".jsonl.gz", "Parquet": ".parquet"}[form]
    uri = capture_uri(CAPTURE, NOW).replace(".jsonl.gz", suffix)
    lines = [made("körper-1"), made("b", requestId="h-9"), made("c")]
    store = MemoryStore(
        {uri: encoded([json.dumps(json.loads(line), ensure_ascii=False).encode() + b"\n" for line in lines], form)}
    )

    assert trace(config_for(tmp_path, "körper-1"), store).request.id == "körper-1"
    by_header = trace(config_for(tmp_path, "h-9"), store).request
    assert (by_header.id, by_header.request_id) == ("b", "h-9")


def test_the_newest_hour_is_searched_first_and_older_files_are_left_alone(tmp_path):
    old, new = stored(made(status=500), at=NOW - 3 * HOUR), stored(made(), made(), made("x"))
    store = MemoryStore({**old, **new})
    found = trace(config_for(tmp_path), store)

    assert (found.request.status, found.others) == (200, 1)
    assert store.downloaded == list(new)


def test_a_request_to_another_deployment_under_the_same_prefix_is_not_taken(tmp_path):
    store = MemoryStore(stored(made(deployment="other"), made(namespace="elsewhere"), made("p-77"), b"not json p-7\n"))
    found = trace(config_for(tmp_path), store)

    assert found.request is None
    assert (found.searched.ended, found.searched.records) == ("Complete", 4)


def test_an_id_within_a_payload_is_no_match(tmp_path):
    assert trace(config_for(tmp_path), MemoryStore(stored(made("other", response="p-7")))).request is None


@pytest.mark.parametrize(
    ("limit", "ended"),
    [({"most_files": 2}, "FileLimit"), ({"most_bytes": 1}, "ByteLimit"), ({"seconds": 2}, "TimeLimit")],
)
def test_a_search_that_reaches_a_limit_says_which_and_how_far_it_came(tmp_path, limit, ended):
    hours = (stored(made("x"), at=NOW - HOUR * back) for back in range(5))
    store = MemoryStore({uri: data for part in hours for uri, data in part.items()})
    ticks = iter(range(100))
    found = find_request(config_for(tmp_path, **limit), store, tmp_path, lambda: next(ticks))

    assert found.request is None
    assert found.searched.ended == ended
    assert 0 < found.searched.files < 5
    assert found.searched.reached == format_time((NOW - HOUR * (found.searched.files - 1)).replace(minute=0))


def test_a_damaged_file_is_counted_and_the_others_are_searched(tmp_path):
    damaged = {capture_uri(CAPTURE, NOW, "damaged"): capture_file(made())[:-9]}
    found = trace(config_for(tmp_path), MemoryStore({**damaged, **stored(made(), at=NOW - HOUR)}))

    assert found.request is not None
    assert (found.searched.unreadable_files, found.searched.files) == (1, 2)
    assert "damaged" in found.searched.unreadable[0]


class Refusing(MemoryStore):
    """Storage without the right to read one kind of object, or without it."""

    def __init__(self, objects, failure, part):
        super().__init__(objects)
        self.failure, self.part = failure, part

    def _check(self, uri):
        if self.part in uri:
            raise AgentError(self.failure, f"{uri}: refused")

    def download(self, uri, *rest):
        self._check(uri)
        return super().download(uri, *rest)

    def get_bytes(self, uri, limit):
        self._check(uri)
        return super().get_bytes(uri, limit)


def test_storage_that_refuses_is_an_error_but_a_file_that_has_expired_is_not(tmp_path):
    with pytest.raises(AgentError) as caught:
        trace(config_for(tmp_path), Refusing(stored(made()), ACCESS_DENIED, "capture"))
    assert caught.value.failure is ACCESS_DENIED

    gone = trace(config_for(tmp_path), Refusing(stored(made()), OBJECT_NOT_FOUND, "capture"))
    assert (gone.request, gone.searched.unreadable_files) == (None, 1)


def test_a_version_that_no_resource_names_is_looked_for_where_training_publishes(tmp_path):
    store = MemoryStore({**stored(made()), f"{VERSION}manifest.json": document(MODEL)})
    assert trace(config_for(tmp_path, outputs=("s3://models/churn",)), store).version.uri == VERSION


def test_an_altered_manifest_is_not_believed(tmp_path):
    forged = MODEL.model_copy(update={"files": (entry("model.bin", b"other"),)})
    store = MemoryStore({**stored(made()), f"{VERSION}manifest.json": document(forged)})
    found = trace(config_for(tmp_path, outputs=(OUTPUT,)), store)

    assert found.version is None
    assert "DigestMismatch" in found.version_problem


@pytest.mark.parametrize(
    ("failure", "told"), [(OBJECT_NOT_FOUND, "has no manifest.json"), (ACCESS_DENIED, "ArtifactAccessDenied")]
)
def test_a_manifest_that_cannot_be_read_leaves_the_rest_of_the_answer(tmp_path, failure, told):
    found = trace(config_for(tmp_path, outputs=(OUTPUT,)), Refusing(stored(made()), failure, "manifest"))
    assert (found.request.id, found.version) == ("p-7", None)
    assert told in found.version_problem


def test_the_verdicts_next_to_the_request_are_taken_and_those_about_others_are_not(tmp_path):
    reports = {
        **report("w-1", NOW - 30 * HOUR),
        **report("w-2", NOW - 2 * HOUR, drifted=False),
        **report("w-3", NOW + 2 * HOUR),
        **report("w-4", NOW + 30 * HOUR),
        **report("w-5", NOW + HOUR, digest="sha256:" + "b" * 64),
        **report("w-6", NOW - HOUR, deployment="other"),
        **report("w-7", NOW - 250 * HOUR),
        f"{REPORTS}broken/report.json": b"{}",
    }
    store = TimedStore({**stored(made()), **reports})
    found = trace(config_for(tmp_path, reports=(REPORTS,)), store)

    assert [(verdict.job, verdict.drifted) for verdict in found.verdicts] == [("w-2", False), ("w-3", True)]
    assert found.verdicts[0].uri == f"{REPORTS}w-2/report.json"
    assert found.reports_problem == (f"{REPORTS}broken/report.json is no report of this format",)


def test_what_is_written_to_the_log_comes_back_whole_from_real_storage(tmp_path, s3: S3Server, store):
    bucket = s3.bucket()
    key = capture_uri("s3://x/", NOW).removeprefix("s3://x/")
    s3.put(bucket, {f"c/{key}": capture_file(made())})
    out = io.StringIO()
    run(config_for(tmp_path).model_copy(update={"uri": f"s3://{bucket}/c"}), store, out)

    lines = [f"2026-01-31T12:00:00Z {line}" for line in out.getvalue().splitlines()]
    assert all(SHOWN_PREFIX in line for line in lines)
    assert Traced.model_validate_json(decoded(lines)).request.id == "p-7"
    assert list(tmp_path.iterdir()) == []


def test_people_with_credentials_of_their_own_need_no_pod(tmp_path, s3: S3Server):
    bucket = s3.bucket()
    key = capture_uri("s3://x/", NOW).removeprefix("s3://x/")
    s3.put(bucket, {f"c/{key}": capture_file(made())})
    config = config_for(tmp_path).model_copy(update={"uri": f"s3://{bucket}/c", "storage": s3.storage})

    assert trace_by_own_credentials(config).request.id == "p-7"
    with pytest.raises(CliError, match="create the bucket"):
        trace_by_own_credentials(config.model_copy(update={"uri": "s3://no-such-bucket-here/c"}))
