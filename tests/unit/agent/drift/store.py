"""Storage in memory with the listing rules of the real one, and makers of what lies in it."""

import gzip
import hashlib
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl

from perennial.agent.artifact.digest import content_digest
from perennial.agent.storage.client import Version
from perennial.api.contract.manifest import FileEntry, InputManifest, Manifest

NOW = datetime(2026, 3, 10, 12, 30, tzinfo=UTC)
DIGEST = "sha256:" + "a" * 64


@dataclass(frozen=True)
class Listed:
    key: str
    size: int
    relative: str
    etag: str = "etag"
    last_modified: datetime = NOW


@dataclass
class MemoryStore:
    """Objects by URI; remembers what was listed and downloaded. They were `written` at NOW, unless it says when."""

    objects: dict[str, bytes] = field(default_factory=dict)
    listed: list[str] = field(default_factory=list)
    downloaded: list[str] = field(default_factory=list)
    types: dict[str, str] = field(default_factory=dict)
    written: dict[str, datetime] = field(default_factory=dict)

    def list(self, uri: str) -> Iterator[Listed]:
        self.listed.append(uri)
        prefix = uri if uri in self.objects or uri.endswith("/") else uri + "/"
        found = sorted(name for name in self.objects if name == uri or name.startswith(prefix))
        for name in found:
            relative = name.rsplit("/", 1)[-1] if name == uri else name.removeprefix(prefix)
            key, data = name.removeprefix("s3://").split("/", 1)[1], self.objects[name]
            etag = hashlib.md5(data, usedforsecurity=False).hexdigest()
            yield Listed(key, len(data), relative, etag, self.written.get(name, NOW))

    def get_bytes(self, uri: str, limit: int) -> bytes:
        return self.objects[uri][:limit]

    def download(self, uri: str, path: Path, size: int | None = None, etag: str | None = None) -> str:
        self.downloaded.append(uri)
        path.write_bytes(self.objects[uri])
        return hashlib.sha256(self.objects[uri]).hexdigest()

    def put_bytes(self, uri: str, data: bytes, content_type: str) -> None:
        self.objects[uri] = data
        self.types[uri] = content_type

    def delete(self, uri: str) -> None:
        self.objects.pop(uri, None)

    def get_version(self, uri: str, limit: int) -> Version | None:
        data = self.objects.get(uri)
        return None if data is None else Version(data[:limit], hashlib.sha256(data).hexdigest())

    def replace_version(self, uri: str, data: bytes, content_type: str, etag: str | None) -> bool:
        found = self.get_version(uri, 2**40)
        if (found.etag if found else None) != etag:
            return False
        self.put_bytes(uri, data, content_type)
        return True


def parquet(columns: dict[str, object]) -> bytes:
    buffer = io.BytesIO()
    pl.DataFrame(columns).write_parquet(buffer)
    return buffer.getvalue()


def csv(columns: dict[str, object]) -> bytes:
    return pl.DataFrame(columns).write_csv().encode()


def record(request: object, at: datetime = NOW - timedelta(minutes=5), **changes: object) -> bytes:
    line = {
        "time": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "id": "0190",
        "namespace": "team",
        "deployment": "churn",
        "revision": "churn-1",
        "digest": DIGEST,
        "path": "/v2/models/m/infer",
        "status": 200,
        "latencyMs": 1.5,
        "request": request,
        "response": None,
        **changes,
    }
    return json.dumps(line).encode() + b"\n"


def tensors(**columns: list[object]) -> dict[str, object]:
    kinds = {str: "BYTES", float: "FP64", int: "INT64", bool: "BOOL"}
    return {
        "inputs": [
            {"name": name, "shape": [len(data)], "datatype": kinds[type(data[0])], "data": data}
            for name, data in columns.items()
        ]
    }


def capture_file(*records: bytes) -> bytes:
    return gzip.compress(b"".join(records))


def capture_uri(root: str, at: datetime, name: str = "churn-1-pod-0") -> str:
    return f"{root.rstrip('/')}/date={at:%Y-%m-%d}/hour={at:%H}/{name}.jsonl.gz"


def entry(path: str, content: bytes) -> FileEntry:
    return FileEntry(path=path, size=len(content), sha256=hashlib.sha256(content).hexdigest())


def manifest(*inputs: InputManifest) -> Manifest:
    files = (entry("model.bin", b"weights"),)
    return Manifest(
        digest=content_digest(files),
        files=files,
        namespace="team",
        training_job="churn",
        run="churn-1",
        inputs=inputs,
        created="2026-03-01T00:00:00Z",
    )
