"""A support bundle: what a namespace holds, with everything masked that may be secret. Secrets are never read."""

import io
import json
import re
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from perennial.cli.cluster import Cluster
from perennial.cli.errors import CliError
from perennial.cli.logs import sources_of
from perennial.cli.snapshot import Snapshot
from perennial.core.kinds import CHILDREN, EVENT, POD, RESOURCES, Kind, Raw
from perennial.core.labels import KIND_LABEL

MASK = "(masked)"
_SECRET_NAME = re.compile(
    r"pass(word|wd|phrase)?|secret|token|credential|api[_-]?key|access[_-]?key|private[_-]?key|authorization",
    re.IGNORECASE,
)
_IN_TEXT = re.compile(
    r"(?P<before>://[^/\s:@]+:)[^\s@]+(?=@)"  # user:password@host
    r"|(?P<name>(?:pass(?:word|wd)?|secret|token|api[_-]?key|access[_-]?key(?:[_-]?id)?|authorization)\w*[\"']?\s*[=:]\s*[\"']?"
    r"(?:bearer\s+)?)[^\s\"',;&]+"
    r"|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b",
    re.IGNORECASE,
)
_SECRET_FIELD_IS_NAME = frozenset(
    {"secretName", "secretKeyRef", "secretRef", "imagePullSecrets", "automountServiceAccountToken"}
)
"""Fields that name a Secret and contain none of its values."""
_LOG_LINES = 2000


def masked(value: Any, name: str = "") -> Any:
    """Copy a JSON value without what may be secret: by the name of a field or variable, and within text."""
    if isinstance(value, Mapping):
        return _masked_mapping(value)
    if isinstance(value, list | tuple):
        return [masked(item, name) for item in value]
    if isinstance(value, str):
        return MASK if value and _hides(name) else mask_text(value)
    return value


def _masked_mapping(value: Mapping[str, Any]) -> dict[str, Any]:
    named = value.get("name")
    # A variable of a container: its own name decides about its value.
    if isinstance(named, str) and isinstance(value.get("value"), str) and _hides(named):
        return {**{key: masked(item, key) for key, item in value.items()}, "name": named, "value": MASK}
    return {str(key): masked(item, str(key)) for key, item in value.items()}


def _hides(name: str) -> bool:
    return name not in _SECRET_FIELD_IS_NAME and _SECRET_NAME.search(name) is not None


def mask_text(text: str) -> str:
    """Mask credentials within text: in addresses, in `name=value` pairs, and AWS access key ids."""

    def replaced(match: re.Match[str]) -> str:
        return f"{match['before'] or match['name'] or ''}{MASK}"

    return _IN_TEXT.sub(replaced, text)


def entries(cluster: Cluster, snapshot: Snapshot) -> Iterator[tuple[str, str]]:
    """Names and texts of the files of the bundle. What the user may not read is told in a file of its own."""
    refused: list[str] = []
    for kind in (*RESOURCES, *CHILDREN, POD, EVENT):
        try:
            found = cluster.list(kind, selector="" if kind in (*RESOURCES, EVENT) else KIND_LABEL)
        except CliError as error:
            refused.append(f"{kind.plural}: {error}")
            continue
        yield f"{kind.plural}.json", _json(found, kind)
    for source in sources_of(snapshot.pods, None, None):
        try:
            lines = list(cluster.logs(source.pod, source.container, tail=_LOG_LINES))
        except CliError as error:
            refused.append(f"log of {source.pod}/{source.container}: {error}")
            continue
        yield f"logs/{source.pod}/{source.container}.log", "".join(f"{mask_text(line)}\n" for line in lines)
    yield "versions.json", json.dumps({"kubernetes": cluster.version(), "namespace": snapshot.namespace}, indent=1)
    if refused:
        yield "not-readable.txt", "".join(f"{line}\n" for line in refused)


def _json(found: Iterable[Raw], kind: Kind) -> str:
    def trimmed(raw: Raw) -> Raw:
        meta = {key: value for key, value in raw["metadata"].items() if key != "managedFields"}
        return {**raw, "kind": kind.kind, "metadata": meta}

    return json.dumps([masked(trimmed(raw)) for raw in found], indent=1, ensure_ascii=False)


def archive(files: Iterable[tuple[str, str]], time: float) -> bytes:
    """Pack files into a gzip-compressed tar, in a folder `perennial-bundle`."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, text in files:
            data = text.encode()
            info = tarfile.TarInfo(f"perennial-bundle/{name}")
            info.size, info.mtime = len(data), int(time)
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()
