"""Images that hold one static program and nothing else, written as archives without any image builder."""

import gzip
import hashlib
import io
import json
import platform
import tarfile
from dataclasses import dataclass
from pathlib import Path

from tools.cluster import paths, pins

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


def program_image(name: str) -> str:
    """The image name of a pinned program: `localhost/<name>:<version>`."""
    component, _ = pins.find(name)
    return f"localhost/{name}:{component.version}"


def program_archive(name: str) -> Path:
    """An archive of an image with a built program at `/<name>`, made once and kept in the cache.

    Raises:
        ClusterError: the program is not built.
    """
    binary = paths.binary(name)
    archive = paths.cache() / "images" / f"{binary.name}.tar"
    if not archive.exists():
        archive.parent.mkdir(parents=True, exist_ok=True)
        partial = archive.with_suffix(".partial")
        write_archive(binary, name, program_image(name), partial)
        partial.rename(archive)
    return archive


@dataclass(frozen=True)
class _Blob:
    media_type: str
    data: bytes

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.data).hexdigest()

    def descriptor(self) -> dict[str, object]:
        return {"mediaType": self.media_type, "digest": f"sha256:{self.digest}", "size": len(self.data)}


def write_archive(binary: Path, name: str, image: str, archive: Path) -> None:
    """Writes an OCI archive of one layer: the program, run as nobody, and an empty /tmp. The same bytes each time."""
    layer = _layer(binary, name)
    compressed = gzip.compress(layer, compresslevel=1, mtime=0)
    kind = "application/vnd.oci.image"
    layer_blob = _Blob(f"{kind}.layer.v1.tar+gzip", compressed)
    config = {
        "architecture": ARCHITECTURES.get(platform.machine(), platform.machine()),
        "os": "linux",
        "config": {"Entrypoint": [f"/{name}"], "User": "65534:65534", "WorkingDir": "/"},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
    }
    config_blob = _json_blob(f"{kind}.config.v1+json", config)
    manifest = {
        "schemaVersion": 2,
        "mediaType": f"{kind}.manifest.v1+json",
        "config": config_blob.descriptor(),
        "layers": [layer_blob.descriptor()],
    }
    manifest_blob = _json_blob(f"{kind}.manifest.v1+json", manifest)
    names = {"io.containerd.image.name": image, "org.opencontainers.image.ref.name": image}
    index = {"schemaVersion": 2, "manifests": [{**manifest_blob.descriptor(), "annotations": names}]}
    with tarfile.open(archive, "w") as tar:
        _add(tar, "oci-layout", json.dumps({"imageLayoutVersion": "1.0.0"}).encode())
        _add(tar, "index.json", json.dumps(index).encode())
        for blob in (layer_blob, config_blob, manifest_blob):
            _add(tar, f"blobs/sha256/{blob.digest}", blob.data)


def _json_blob(media_type: str, document: object) -> _Blob:
    return _Blob(media_type, json.dumps(document, sort_keys=True).encode())


def _layer(binary: Path, name: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        folder = tarfile.TarInfo("tmp")
        folder.type, folder.mode = tarfile.DIRTYPE, 0o1777
        tar.addfile(folder)
        _add(tar, name, binary.read_bytes(), mode=0o755)
    return buffer.getvalue()


def _add(tar: tarfile.TarFile, name: str, data: bytes, mode: int = 0o644) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(data), mode
    tar.addfile(entry, io.BytesIO(data))
