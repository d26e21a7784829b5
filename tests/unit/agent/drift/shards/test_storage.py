"""Shards at the same time on a real S3 server."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from perennial.api.contract.commands import JOB_UID_VARIABLE, WORKER_VARIABLE, CaptureWindow, DriftConfig
from perennial.api.contract.messages import DriftVerdict, ShardWritten
from perennial.api.contract.report import DriftReport
from perennial.core.termination import parse_message
from tests.unit.agent.conftest import ROOT, S3Server
from tests.unit.agent.drift.captured import a_file, columns
from tests.unit.agent.drift.store import DIGEST, capture_uri, parquet

SHARDS = 3


def test_of_shards_that_run_at_once_one_gives_the_verdict(s3: S3Server, tmp_path: Path) -> None:
    bucket, now = s3.bucket(), datetime.now(UTC)
    values = columns(2, 120, moved=0.5)
    hours = [now - timedelta(hours=index) for index in range(1, 7)]
    files = {
        capture_uri("", at).lstrip("/"): a_file(values, range(20 * index, 20 * index + 20), at)
        for index, at in enumerate(hours)
    }
    s3.put(bucket, {"train/0.parquet": parquet(columns(1, 300)), **{f"c/{name}": data for name, data in files.items()}})
    config = DriftConfig(
        storage=s3.storage,
        namespace="team",
        monitor="churn",
        deployment="churn",
        digest=DIGEST,
        reference=f"s3://{bucket}/train/",
        current=CaptureWindow(uri=f"s3://{bucket}/c/", seconds=86_400, digest=DIGEST),
        report=f"s3://{bucket}/reports/",
        shards=SHARDS,
        scratch=str(tmp_path),
    )
    running = []
    for index in range(SHARDS):
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT / "operator"),
            "PERENNIAL_CONFIG": json.dumps(config.dump()),
            "PERENNIAL_TERMINATION_LOG": str(tmp_path / f"message-{index}"),
            "PERENNIAL_JOB": "churn-1",
            WORKER_VARIABLE: str(index),
            JOB_UID_VARIABLE: "uid-1",
        }
        running.append(subprocess.Popen([sys.executable, "-m", "perennial", "agent", "drift"], env=environment))
    assert [process.wait(120) for process in running] == [0] * SHARDS
    messages = [parse_message((tmp_path / f"message-{index}").read_text()) for index in range(SHARDS)]
    verdicts = [message for message in messages if isinstance(message, DriftVerdict)]
    assert len(verdicts) == 1
    assert sum(isinstance(message, ShardWritten) for message in messages) == SHARDS - 1
    assert verdicts[0].current_rows == 120
    report = DriftReport.model_validate_json(s3.read(bucket, "reports/churn-1/report.json"))
    assert "The 6 files of the window were read by 3 shards." in report.notes
    names = [key.rsplit("/", 1)[-1] for key in s3.keys(bucket, "reports/_shards/team/churn/churn-1/uid-1/")]
    assert [name.split("-of-")[0] for name in names if name.endswith(".parquet")] == [
        "shard-00",
        "shard-01",
        "shard-02",
    ]
