"""Committed generated files match the models, and `--check` reports those that do not."""

import shutil
from pathlib import Path

import pytest

from perennial.generate.__main__ import main
from perennial.generate.files import generated, stale, write
from tests.contract.server import ROOT


@pytest.fixture(scope="module")
def files() -> dict[str, str]:
    return generated()


def test_everything_committed_is_fresh(files: dict[str, str]) -> None:
    assert stale(ROOT, files) == []


def test_is_the_same_every_time(files: dict[str, str]) -> None:
    assert generated() == files


def test_check_names_what_is_stale_and_generate_mends_it(
    tmp_path: Path, files: dict[str, str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("perennial.generate.__main__.generated", lambda: files)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    write(tmp_path, files)
    (tmp_path / "charts/perennial/values.yaml").write_text("replicas: 3\n")
    (tmp_path / "crds/trainingjobs.perennial.dev.yaml").unlink()
    (tmp_path / "crds/old.yaml").write_text("{}\n")

    code = main(["--check", "--root", str(tmp_path)])

    assert code == 1
    assert capsys.readouterr().err.splitlines() == [
        "charts/perennial/values.yaml is out of date",
        "crds/old.yaml is not generated any more",
        "crds/trainingjobs.perennial.dev.yaml is missing",
        "Run `make generate` and commit the result.",
    ]
    assert main(["--root", str(tmp_path)]) == 0
    assert main(["--check", "--root", str(tmp_path)]) == 0


def test_says_when_it_is_in_the_wrong_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--root", str(tmp_path)]) == 2
    assert "is not the repository" in capsys.readouterr().err
