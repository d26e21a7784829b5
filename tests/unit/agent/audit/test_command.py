"""The command line of `perennial agent audit`, with its exit codes, against a real S3 server and its Object Lock."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from perennial.agent.audit.append import append
from perennial.agent.audit.arguments import config_of
from perennial.agent.auditlog.verify import verify
from perennial.agent.storage.client import ObjectStore
from perennial.agent.storage.errors import AgentError
from perennial.api.contract.audit import AuditAppend, AuditLock, AuditShow, AuditVerify
from perennial.core.audit import entry_id
from perennial.core.termination import parse_message
from tests.unit.agent.audit.support import MODEL, at, entry, outbox
from tests.unit.agent.conftest import ROOT, S3Server, command


def run(s3: S3Server, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            *(sys.executable, "-m", "perennial", "agent", "audit", *arguments),
            *("--endpoint", s3.endpoint, "--addressing", "path"),
        ],
        env={**os.environ, "PYTHONPATH": str(ROOT / "operator"), "PERENNIAL_TERMINATION_LOG": os.devnull},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_append_verify_and_show_by_hand(s3: S3Server, tmp_path: Path) -> None:
    bucket = s3.bucket()
    uri = f"s3://{bucket}/audit/"

    assert run(s3, "verify", "--uri", uri).returncode == 67
    done = run(s3, "append", "--uri", uri, "--outbox", str(outbox(tmp_path, 1, 2)))
    said = json.loads(done.stdout)
    assert (done.returncode, said["sequence"], said["appended"]) == (0, 2, 2)

    intact = run(s3, "verify", "--uri", uri, "-o", "json", "--versions")
    assert intact.returncode == 0
    report = json.loads(intact.stdout)
    assert (report["result"], report["notChecked"]) == ("Intact", ["versions: the bucket keeps none"])

    shown = run(s3, "show", "--uri", uri, "--model", MODEL)
    assert "GateDecided  ModelDeployment team-a/churn  by operator" in shown.stdout.splitlines()[0]

    (key,) = [key for key in s3.keys(bucket) if key.endswith(".jsonl")]
    s3.put(bucket, {key: s3.read(bucket, key).replace(b"0.91", b"0.99", 1)})
    broken = run(s3, "verify", "--uri", uri)
    assert broken.returncode == 86
    assert broken.stdout.startswith(f"Broken: {uri}\n")
    assert "line 1: line 1 is not as it was written" in broken.stdout
    assert run(s3, "verify", "--uri", "s3://no-such-bucket/a/").returncode == 66


def test_a_verdict_that_cannot_be_reached_is_not_judged(s3: S3Server) -> None:
    ended = run(s3, "verify", "--uri", "s3://no-such-bucket/a/", "-o", "json")

    assert json.loads(ended.stdout)["result"] == "NotJudged"


def test_the_operators_way_ends_with_a_message(s3: S3Server, tmp_path: Path) -> None:
    config = AuditAppend(
        storage=s3.storage, uri=f"s3://{s3.bucket()}/audit/", outbox=str(outbox(tmp_path / "outbox", 1))
    )

    code, message = command("audit", config, tmp_path)

    assert (code, message.kind) == (0, "AuditAppended")
    assert parse_message((tmp_path / "message").read_text()) == message


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["verify"], "--uri"),
        (["verify", "--uri", "http://x"], "uri: String should match"),
        (["verify", "--uri", "s3://bucket/a/", "--expect-sequence", "3"], "belong together"),
        (["append", "--uri", "s3://bucket/a/", "--lock-mode", "GOVERNANCE"], "needs --lock-days"),
        (["append", "--uri", "s3://bucket/a/", "--lock-days", "0"], "greater than 0"),
        (["verify", "--uri", "s3://bucket/a/", "--since", "yesterday"], "since"),
        (["other"], "invalid choice"),
    ],
)
def test_a_wrong_command_line_is_explained(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        config_of(arguments)

    assert ended.value.code == 2
    assert words in capsys.readouterr().err


def test_options_become_the_configuration() -> None:
    found = config_of(["append", "--uri", "s3://bucket/a/", "--lock-days", "7", "--region", "eu-central-1"])

    assert isinstance(found, AuditAppend)
    assert (found.lock, found.storage.region) == (AuditLock(days=7), "eu-central-1")
    shown = config_of(["show", "--uri", "s3://bucket/a/", "--kind", "TrainingJob", "--name", "churn"])
    assert isinstance(shown, AuditShow)
    assert (shown.resource_kind, shown.name) == ("TrainingJob", "churn")


def test_the_same_fact_has_the_same_identity() -> None:
    assert entry_id("A", "u", "E", 1, "x") == entry_id("A", "u", "E", 1, "x")
    assert len({entry_id("A", "u", "E", 1, "x"), entry_id("A", "u", "E", "1", "x"), entry_id("A", "u", "E", "1x")}) == 3


def test_words_of_an_entry_are_cut_and_cleaned() -> None:
    found = entry(1, message="a\nb" + "x" * 600, actor="ada\x1b[31m", figures={"auc": "1" * 100})

    assert found.message.startswith("a bx")
    assert (len(found.message), found.actor, len(found.figures["auc"])) == (512, "ada [31m", 64)


def locked_bucket(s3: S3Server) -> str:
    name = f"{s3.bucket()}-locked"
    s3.client.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
    return name


def kept(s3: S3Server, bucket: str) -> list[Any]:
    found = s3.client.list_object_versions(Bucket=bucket, Prefix="audit/2026").get("Versions", [])
    return sorted(found, key=lambda item: int(item["Size"]))


def config_for(s3: S3Server, bucket: str, folder: Path, mode: str = "GOVERNANCE") -> AuditAppend:
    return AuditAppend.model_validate(
        {
            "storage": s3.storage,
            "uri": f"s3://{bucket}/audit/",
            "outbox": str(folder),
            "lock": {"days": 1, "mode": mode},
        }
    )


@pytest.mark.parametrize("mode", ["GOVERNANCE", "COMPLIANCE"])
def test_a_locked_log_cannot_be_deleted_and_what_hides_it_is_found(
    s3: S3Server, store: ObjectStore, tmp_path: Path, mode: str
) -> None:
    bucket = locked_bucket(s3)
    for number in (1, 2):
        append(config_for(s3, bucket, outbox(tmp_path, number), mode), store)
    uri = f"s3://{bucket}/audit/"
    versions = kept(s3, bucket) or s3.client.list_object_versions(Bucket=bucket)["Versions"]
    check = AuditVerify(uri=uri, versions=True)
    segments = [item for item in versions if item["Key"].endswith(".jsonl")]
    assert len(segments) == 2
    assert verify(check, store).result == "Intact"

    for item in segments:
        with pytest.raises(ClientError, match="AccessDenied"):
            s3.client.delete_object(Bucket=bucket, Key=item["Key"], VersionId=item["VersionId"])
    if mode == "COMPLIANCE":
        with pytest.raises(ClientError, match="AccessDenied"):
            s3.client.delete_object(
                Bucket=bucket,
                Key=segments[0]["Key"],
                VersionId=segments[0]["VersionId"],
                BypassGovernanceRetention=True,
            )

    # A log that was rewritten whole, head.json included, looks right; the kept versions say that it is not.
    key = segments[0]["Key"]
    for name in (key, "audit/head.json"):
        s3.client.delete_object(Bucket=bucket, Key=name)
    other = locked_bucket(s3)
    append(config_for(s3, other, outbox(tmp_path, 7, 8, 9), mode), store)
    for name in (key, "audit/head.json"):
        s3.client.put_object(Bucket=bucket, Key=name, Body=s3.read(other, name))
    assert verify(AuditVerify(uri=uri), store).result == "Intact"
    problems = {one.problem for one in verify(check, store).findings}
    assert problems == {"Deleted", "Replaced"}


def test_a_lock_in_a_bucket_without_object_lock_is_refused(s3: S3Server, store: ObjectStore, tmp_path: Path) -> None:
    with pytest.raises(AgentError, match="cannot be written") as caught:
        append(config_for(s3, s3.bucket(), outbox(tmp_path, 1)), store, lambda: at(1))

    assert caught.value.failure.reason == "AuditStorageUnfit"
