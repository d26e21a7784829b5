"""What `down` takes away, and what it never touches."""

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tools.demo import clusters, down, install
from tools.demo.choice import Wish
from tools.demo.clusters import Place
from tools.demo.kubectl import Kubectl
from tools.demo.pods import LABELS

EMBEDDED = Place("embedded", None, None, made=True)
KIND = Place("kind", "/cache/kind.kubeconfig", "kind-perennial-demo", made=True)
OWN = Place("own", "/home/me/config", "team", made=False)


@pytest.mark.parametrize(
    ("wish", "known", "place"),
    [
        (Wish(), None, EMBEDDED),
        (Wish(), KIND, KIND),
        (Wish(), OWN, OWN),
        # KUBECONFIG is often set for other work: where the demo is known to have run, that is what is cleaned.
        (Wish(kubeconfig=Path("/other")), KIND, KIND),
        (Wish(kubeconfig=Path("/other")), None, Place("own", "/other", None, made=False)),
        (Wish(context="stage"), KIND, Place("own", None, "stage", made=False)),
        (Wish(cluster="embedded"), OWN, EMBEDDED),
    ],
)
def test_what_is_cleaned_is_what_was_made_or_named(wish: Wish, known: Place | None, place: Place) -> None:
    assert down.which(wish, known) == place


@dataclass(frozen=True)
class Recorder(Kubectl):
    """Answers for the namespaces it is given, and keeps what is deleted."""

    namespaces: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    deleted: list[str] = field(default_factory=list)

    def get(self, *arguments: str) -> Any:
        kind, name = arguments
        assert kind == "namespace"
        labels = self.namespaces.get(name)
        return None if labels is None else {"metadata": {"name": name, "labels": labels}}

    def run(self, *arguments: str, stdin: str | None = None, seconds: float = 60) -> str:
        assert arguments[0] == "delete"
        self.deleted.extend(word for word in arguments[1:] if not word.startswith("--"))
        return ""


@pytest.fixture
def helm_calls(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    calls: list[list[str]] = []

    def record(kubectl: Kubectl, arguments: list[str], **_: Any) -> "subprocess.CompletedProcess[str]":
        calls.append(arguments)
        return subprocess.CompletedProcess(arguments, 0, "", "")

    monkeypatch.setattr(install, "helm", record)
    return calls


def test_resources_go_before_their_operator_and_definitions_stay(helm_calls: list[list[str]]) -> None:
    cluster = Recorder(None, namespaces={"perennial-demo": LABELS, "perennial-system": LABELS})

    down.from_own_cluster(cluster, crds=False)

    assert cluster.deleted == ["namespace", "perennial-demo", "namespace", "perennial-system"]
    assert [call[:2] for call in helm_calls] == [["uninstall", "perennial"]]


def test_the_definitions_go_when_asked_to(helm_calls: list[list[str]]) -> None:
    cluster = Recorder(None, namespaces={"perennial-system": LABELS})

    down.from_own_cluster(cluster, crds=True)

    assert "customresourcedefinition/trainingjobs.perennial.dev" in cluster.deleted
    assert "perennial-demo" not in cluster.deleted


def test_an_installation_that_the_demo_did_not_make_is_left_alone(
    helm_calls: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    cluster = Recorder(None, namespaces={"perennial-demo": {}, "perennial-system": {"team": "platform"}})

    down.from_own_cluster(cluster, crds=True)

    assert cluster.deleted == []
    assert helm_calls == []
    assert "left alone" in capsys.readouterr().err


def test_where_the_demo_ran_is_remembered_and_forgotten(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert clusters.recall() is None

    clusters.remember(OWN)
    assert clusters.recall() == OWN

    next(tmp_path.rglob("place.json")).write_text(json.dumps({"half": "written"}))
    assert clusters.recall() is None
    clusters.forget()
    clusters.forget()
    assert clusters.recall() is None
