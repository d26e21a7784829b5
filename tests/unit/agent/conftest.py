"""A real S3 server over a folder, on loopback."""

import json
import os
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from perennial.agent.storage.client import ObjectStore
from perennial.agent.storage.opening import open_storage
from perennial.api.common.base import Model
from perennial.api.common.pod import Storage
from perennial.api.contract.messages import Message
from perennial.core.termination import parse_message
from tests.support.ports import reserved
from tests.support.waiting import until
from tools.cluster import api

ROOT = Path(__file__).resolve().parents[3]
ACCESS, SECRET = "test", "testsecret"


@dataclass(frozen=True)
class S3Server:
    """The server, and a client of its own for preparing and looking."""

    endpoint: str
    folder: Path
    client: Any = field(repr=False)

    @property
    def storage(self) -> Storage:
        return Storage(endpoint=self.endpoint, addressing="path")

    def bucket(self) -> str:
        """Make a bucket that no other test uses."""
        name = f"b-{uuid.uuid4().hex[:12]}"
        self.client.create_bucket(Bucket=name)
        return name

    def put(self, bucket: str, files: dict[str, bytes]) -> None:
        for key, data in files.items():
            self.client.put_object(Bucket=bucket, Key=key, Body=data)

    def read(self, bucket: str, key: str) -> bytes:
        return bytes(self.client.get_object(Bucket=bucket, Key=key)["Body"].read())

    def keys(self, bucket: str, prefix: str = "") -> list[str]:
        found = self.client.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])
        return sorted(item["Key"] for item in found)


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    try:
        program = api.binary("versitygw")
    except api.ClusterError as error:
        pytest.fail(
            f"the S3 server of the tests is not built: {error}\nbuild it: python3 -m tools.cluster build versitygw"
        )
    folder = tmp_path_factory.mktemp("s3")
    # Buckets keep versions only if they ask for it.
    versions = tmp_path_factory.mktemp("s3-versions")
    environment = {**os.environ, "ROOT_ACCESS_KEY": ACCESS, "ROOT_SECRET_KEY": SECRET}
    quiet = subprocess.DEVNULL
    with (
        reserved() as port,
        subprocess.Popen(
            [str(program), "--port", f"127.0.0.1:{port}", "posix", "--versioning-dir", str(versions), str(folder)],
            env=environment,
            stdout=quiet,
            stderr=quiet,
        ) as process,
    ):
        endpoint = f"http://127.0.0.1:{port}"
        _wait_for(process, port)
        client = boto3.client(
            "s3",
            endpoint_url=endpoint,
            region_name="us-east-1",
            aws_access_key_id=ACCESS,
            aws_secret_access_key=SECRET,
            config=Config(s3={"addressing_style": "path"}, request_checksum_calculation="when_required"),
        )
        try:
            yield S3Server(endpoint, folder, client)
        finally:
            process.kill()


def _wait_for(process: subprocess.Popen[bytes], port: int) -> None:
    def answers() -> bool | None:
        assert process.poll() is None, f"the S3 server of the tests ended with {process.returncode}"
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0 or None

    until(answers, "the S3 server of the tests answers", pause=0.05)


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.delenv("AWS_CA_BUNDLE", raising=False)


@pytest.fixture
def store(s3: S3Server) -> ObjectStore:
    return open_storage(s3.storage)


def command(name: str, config: Model, folder: Path) -> tuple[int, Message]:
    """Run a command of the agent as a process of its own; return its exit code and its message."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT / "operator"),
        "PERENNIAL_CONFIG": json.dumps(config.dump()),
        "PERENNIAL_TERMINATION_LOG": str(folder / "message"),
    }
    ended = subprocess.run(
        [sys.executable, "-m", "perennial", "agent", name], env=environment, timeout=120, check=False
    )
    return ended.returncode, parse_message((folder / "message").read_text())
