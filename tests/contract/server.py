"""A plain client of the test's API server: raw requests over one connection, errors as values."""

import http.client
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from perennial.core.kinds import RESOURCES, Kind
from tests.support.kube import admin, path_of

DATA = Path(__file__).parent / "data"
ROOT = Path(__file__).resolve().parents[2]
STRICT = "?fieldValidation=Strict"
KINDS = {kind.kind: kind for kind in RESOURCES}
_ERRORS_FROM = 400
# libyaml where it is: the rendered chart takes Python's own parser a second each time.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


@dataclass(frozen=True)
class Answer:
    """What the API server said."""

    status: int
    body: Any
    warnings: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Tell whether it agreed."""
        return self.status < _ERRORS_FROM

    @property
    def message(self) -> str:
        """Return its words when it did not."""
        return str(self.body.get("message", "")) if isinstance(self.body, dict) else str(self.body)


class Server:
    """The API server, as its administrator or as whoever's token is given."""

    def __init__(self, kubeconfig: Path) -> None:
        """Connect on first use."""
        self.kubeconfig = kubeconfig
        self.url, self._tls = admin(kubeconfig)
        where = urlsplit(self.url)
        self._connection = http.client.HTTPSConnection(where.hostname or "", where.port, context=self._tls, timeout=120)

    def send(
        self, method: str, path: str, body: Any = None, *, content: str = "application/json", **headers: str
    ) -> Answer:
        """Send one request."""
        sent = {"Content-Type": content, **{name.replace("_", "-"): value for name, value in headers.items()}}
        self._connection.request(method, path, json.dumps(body) if body is not None else None, sent)
        answer = self._connection.getresponse()
        text = answer.read()
        is_json = "json" in (answer.headers.get("Content-Type") or "")
        return Answer(
            answer.status,
            json.loads(text) if is_json else text.decode(),
            tuple(answer.headers.get_all("Warning") or ()),
        )

    def must(self, method: str, path: str, body: Any = None, *, content: str = "application/json") -> Any:
        """Send one request that has to succeed, and return what came back."""
        answer = self.send(method, path, body, content=content)
        assert answer.ok, f"{method} {path}: {answer.status}: {answer.message}"
        return answer.body

    def create(self, manifest: dict[str, Any], namespace: str, *, dry: bool = False) -> Answer:
        """Create one of our resources, strictly validated."""
        kind = KINDS[manifest["kind"]]
        return self.send("POST", path_of(kind, namespace) + STRICT + ("&dryRun=All" if dry else ""), manifest)

    def merge(self, kind: Kind, namespace: str, name: str, patch: Any, subresource: str | None = None) -> Answer:
        """Merge a patch into an object, strictly validated."""
        path = path_of(kind, namespace, name, subresource) + STRICT
        return self.send("PATCH", path, patch, content="application/merge-patch+json")


def documents(text: str) -> list[Any]:
    """Return the documents in a YAML text that hold anything."""
    return [item for item in yaml.load_all(text, Loader=_LOADER) if item]


def dump(items: list[Any]) -> str:
    """Return a YAML text with these documents."""
    return str(yaml.dump_all(items, Dumper=_DUMPER))


def load(path: Path) -> Any:
    """Return the only document of a YAML file."""
    (found,) = documents(path.read_text())
    return found


def accepted() -> list[Path]:
    """Return the files with resources that must be accepted."""
    return sorted((DATA / "accepted").glob("*.yaml"))


def minimal(kind: str) -> Any:
    """Return the smallest resource of a kind."""
    return load(DATA / "accepted" / f"{kind.lower()}-minimal.yaml")


def merged(target: Any, patch: Any) -> Any:
    """Return a JSON merge patch applied."""
    if not isinstance(patch, dict):
        return patch
    base = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            base.pop(key, None)
        else:
            base[key] = merged(base.get(key), value)
    return base
