"""Published versions made by hand, and a deployment that serves one as files."""

import json
from hashlib import sha256

from perennial.agent.artifact.digest import content_digest
from perennial.api.contract.manifest import FileEntry
from perennial.core.kinds import Raw
from tests.e2e.support.site import Site


def publish(site: Site, prefix: str, files: dict[str, bytes]) -> str:
    """Publish a version under a prefix of the bucket `models`; return its digest."""
    entries = tuple(
        FileEntry(path=name, size=len(body), sha256=sha256(body).hexdigest()) for name, body in sorted(files.items())
    )
    digest = content_digest(entries)
    manifest = {
        "schemaVersion": 1,
        "digest": digest,
        "files": [entry.model_dump() for entry in entries],
        "namespace": "by-hand",
        "trainingJob": "by-hand",
        "run": "by-hand-1",
        "created": "2026-01-01T00:00:00Z",
    }
    client = site.s3()
    for name, body in {**files, "manifest.json": json.dumps(manifest).encode()}.items():
        client.put_object(Bucket="models", Key=f"{prefix}{name}", Body=body)
    return digest


def serving(site: Site, uri: str, digest: str) -> Raw:
    """Return the spec of a deployment whose server is Python's own."""
    server = {"image": site.demo.name, "command": ["python3", "-m", "http.server", "8080", "-d", "/mnt/models"]}
    return {"model": {"uri": uri, "digest": digest}, "runtime": {"container": server}}
