"""Image archives: the same bytes for the same content, names that pods can use, and plain words for bad files."""

import hashlib
import io
import json
import tarfile
from pathlib import Path

import pytest

from tools.cluster import baseimage, images, load, ociarchive
from tools.cluster.errors import ClusterError


def write_tar(path: Path, files: dict[str, object]) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, content in files.items():
            data = json.dumps(content).encode()
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return path


def test_a_program_image_is_reproducible_and_complete(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_bytes(b"\x7fELF and so on")
    first, second = tmp_path / "1.tar", tmp_path / "2.tar"
    ociarchive.write_archive(program, "thing", "localhost/thing:1", first)
    ociarchive.write_archive(program, "thing", "localhost/thing:1", second)
    assert first.read_bytes() == second.read_bytes()
    with tarfile.open(first) as tar:
        blobs = [name for name in tar.getnames() if name.startswith("blobs/")]
        for name in blobs:
            handle = tar.extractfile(name)
            assert handle is not None
            assert hashlib.sha256(handle.read()).hexdigest() == name.rsplit("/", 1)[1]
    assert len(blobs) == 3
    assert load.image_names(first) == ["localhost/thing:1"]


def test_names_of_a_docker_archive(tmp_path: Path) -> None:
    archive = write_tar(tmp_path / "a.tar", {"manifest.json": [{"RepoTags": ["localhost/a:1", "localhost/a:2"]}]})
    assert load.image_names(archive) == ["localhost/a:1", "localhost/a:2"]


def test_names_of_an_oci_archive(tmp_path: Path) -> None:
    entry = {"annotations": {"org.opencontainers.image.ref.name": "localhost/a:1"}}
    assert load.image_names(write_tar(tmp_path / "a.tar", {"index.json": {"manifests": [entry]}})) == ["localhost/a:1"]


@pytest.mark.parametrize(
    "files",
    [{"manifest.json": [{"RepoTags": None}]}, {"index.json": {"manifests": [{}]}}],
    ids=["docker", "oci"],
)
def test_an_archive_without_a_name_is_refused(tmp_path: Path, files: dict[str, object]) -> None:
    with pytest.raises(ClusterError) as error:
        load.image_names(write_tar(tmp_path / "a.tar", files))
    assert "no name" in error.value.what
    assert "oci-archive:" in error.value.fix


@pytest.mark.parametrize("files", [{"other": 1}, {"index.json": []}, {"manifest.json": [{}]}])
def test_what_is_not_an_archive_of_images_is_refused(tmp_path: Path, files: dict[str, object]) -> None:
    with pytest.raises(ClusterError, match="not an image archive"):
        load.image_names(write_tar(tmp_path / "a.tar", files))


def test_a_text_file_and_a_missing_one_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello")
    with pytest.raises(ClusterError, match="not an image archive"):
        load.image_names(tmp_path / "text")
    with pytest.raises(ClusterError, match="no such image archive"):
        load.image_names(tmp_path / "missing")


@pytest.fixture
def context(tmp_path: Path) -> Path:
    folder = tmp_path / "context"
    (folder / "app").mkdir(parents=True)
    (folder / "app" / "a.py").write_text("a = 1\n")
    (folder / "link").symlink_to("app/a.py")
    (folder / "Containerfile").write_text("FROM scratch\n")
    return folder


def content_hash(context: Path, tag: str = "localhost/x:1", arguments: dict[str, str] | None = None) -> str:
    return images.content_hash(context / "Containerfile", context, tag, arguments or {})


def test_the_hash_stays_without_a_change(context: Path) -> None:
    before = content_hash(context)
    (context / "app" / "a.py").touch()
    (context / "app" / "__pycache__").mkdir()
    (context / "app" / "__pycache__" / "a.pyc").write_text("x")
    assert content_hash(context) == before


def test_the_hash_follows_content_names_modes_links_and_arguments(context: Path) -> None:
    seen = [
        content_hash(context),
        content_hash(context, tag="localhost/x:2"),
        content_hash(context, arguments={"A": "1"}),
    ]
    (context / "app" / "a.py").write_text("a = 2\n")
    seen.append(content_hash(context))
    (context / "app" / "a.py").chmod(0o755)
    seen.append(content_hash(context))
    (context / "app" / "a.py").rename(context / "app" / "b.py")
    seen.append(content_hash(context))
    (context / "link").unlink()
    (context / "link").symlink_to("app/b.py")
    seen.append(content_hash(context))
    assert len(set(seen)) == len(seen)


def test_a_build_without_a_change_runs_nothing(context: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    archive = images.archive_path("localhost/x:1", content_hash(context))
    archive.parent.mkdir(parents=True)
    archive.touch()
    monkeypatch.setattr(images, "_build", lambda *_: pytest.fail("built again"))
    assert images.build_image(context / "Containerfile", context, "localhost/x:1") == archive


def test_older_archives_of_the_same_image_are_forgotten(
    context: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(images, "_build", lambda *arguments: arguments[-1].write_text("image"))
    for number in range(4):
        (context / "app" / "a.py").write_text(f"a = {number}\n")
        last = images.build_image(context / "Containerfile", context, "localhost/x:1")
        other = images.build_image(context / "Containerfile", context, "localhost/x:1-debug")
    kept = {path.name for path in last.parent.iterdir()}
    assert {last.name, other.name} <= kept
    assert len(kept) == 2 * images.KEPT_ARCHIVES


def test_the_base_has_python_and_certificates_and_a_name_by_its_recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    command = " ".join(baseimage.command(Path("/out.tar")))
    assert "python3.11" in command
    assert "ca-certificates" in command
    assert command.endswith("/out.tar")
    before = baseimage.name()
    monkeypatch.setattr(baseimage, "PACKAGES", (*baseimage.PACKAGES, "more"))
    assert baseimage.name() != before
