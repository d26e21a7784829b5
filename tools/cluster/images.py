"""Builds the project's images with Docker where its engine answers, else with buildah, into archives.

Both kinds of archive go to `load-image`, and to `kind load image-archive`. An archive is named by a hash of all that
goes into it, so that building again without a change only computes the hash.
"""

import functools
import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

from tools.cluster import baseimage, host, paths
from tools.cluster.errors import ClusterError, tail
from tools.cluster.locks import locked
from tools.cluster.progress import step

# The official image, for those who have Docker; the tag is the Debian release and the Python of the other base.
DOCKER_BASE = f"python:3.11-slim-{baseimage.SUITE}"
KEPT_ARCHIVES = 2
# Never part of an image, yet changing all the time.
UNHASHED = frozenset({".git", "__pycache__", ".mypy_cache", ".pytest_cache", ".ruff_cache"})


@functools.cache
def docker_answers() -> bool:
    """Whether a Docker engine can be used; PERENNIAL_NO_DOCKER=1 says no."""
    if os.environ.get("PERENNIAL_NO_DOCKER") == "1" or shutil.which("docker") is None:
        return False
    try:
        done = subprocess.run(["docker", "info"], capture_output=True, timeout=10, check=False)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def base_image() -> str:
    """The image for `FROM`: has `python3` of version 3.11 with its whole standard library, and certificates.

    Raises:
        ClusterError: it could not be made.
    """
    if docker_answers():
        return DOCKER_BASE
    _needs()
    image = baseimage.name()
    with locked("buildah", waiting="another image build is running; waiting"):
        if _buildah("images", "--quiet", image, check=False).strip():
            return image
        archive = baseimage.root_archive()
        container = _buildah("from", "scratch").strip()
        try:
            _buildah("add", container, str(archive), "/")
            env = [f"--env={key}={value}" for key, value in baseimage.ENVIRONMENT.items()]
            _buildah("config", *env, "--cmd", "python3", container)
            _buildah("commit", container, image)
        finally:
            _buildah("rm", container, check=False)
    return image


def build_image(containerfile: Path, context: Path, tag: str, build_args: Mapping[str, str] | None = None) -> Path:
    """Builds an image and returns the Docker archive that holds it under the name `tag`.

    Args:
        containerfile: the build's instructions.
        context: the folder they copy from; all of it counts for the hash, so keep it small.
        tag: full name of the image, such as `localhost/perennial:dev`.
        build_args: values of ARG.

    Raises:
        ClusterError: the build failed; holds the end of its log and the log's place.
    """
    arguments = dict(build_args or {})
    final = archive_path(tag, content_hash(containerfile, context, tag, arguments))
    if final.exists():
        return final
    host.check_free_disk(paths.cache(), 2, "building images")
    with locked("buildah", waiting="another image build is running; waiting"):
        if final.exists():
            return final
        final.parent.mkdir(parents=True, exist_ok=True)
        partial = final.with_suffix(".partial")
        partial.unlink(missing_ok=True)
        with step(f"build image {tag}", 60):
            _build(containerfile, context, tag, arguments, partial)
        partial.rename(final)
        _forget_older(final, tag)
    return final


def archive_path(tag: str, digest: str) -> Path:
    """Where the archive of an image with this content is."""
    return paths.cache() / "images" / f"{_file_name(tag)}-{digest}.tar"


def _file_name(tag: str) -> str:
    return re.sub(r"[^A-Za-z0-9.]+", "_", tag)


def _forget_older(final: Path, tag: str) -> None:
    pattern = re.compile(re.escape(_file_name(tag)) + r"-[0-9a-f]{16}\.tar")
    same = [path for path in final.parent.iterdir() if pattern.fullmatch(path.name)]
    for old in sorted(same, key=lambda path: path.stat().st_mtime, reverse=True)[KEPT_ARCHIVES:]:
        old.unlink(missing_ok=True)


def content_hash(containerfile: Path, context: Path, tag: str, arguments: Mapping[str, str]) -> str:
    """Sixteen hexadecimal digits over the instructions, the arguments, and each file's path, mode and content."""
    total = hashlib.sha256()
    for text in (containerfile.read_text(), tag, *(f"{key}={arguments[key]}" for key in sorted(arguments))):
        total.update(text.encode() + b"\0")
    for file in _files(context):
        mode = file.lstat().st_mode
        total.update(f"{file.relative_to(context)}\0{mode}\0".encode())
        total.update(str(file.readlink()).encode() if file.is_symlink() else _file_digest(file))
    return total.hexdigest()[:16]


def _file_digest(file: Path) -> bytes:
    with file.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").digest()


def _files(context: Path) -> Iterable[Path]:
    for folder, folders, files in os.walk(context):
        folders[:] = sorted(set(folders) - UNHASHED)
        for name in sorted(files):
            yield Path(folder, name)


def _build(containerfile: Path, context: Path, tag: str, arguments: Mapping[str, str], archive: Path) -> None:
    args = [f"--build-arg={key}={value}" for key, value in arguments.items()]
    if docker_answers():
        _run(["docker", "build", "-f", str(containerfile), "-t", tag, *args, str(context)])
        _run(["docker", "save", "-o", str(archive), tag])
        return
    _needs()
    # chroot: the build needs no namespaces, so that it works inside containers, too.
    _buildah("bud", "--isolation", "chroot", "--layers", "-f", str(containerfile), "-t", tag, *args, str(context))
    _buildah("push", tag, f"docker-archive:{archive}:{tag}")


def _needs() -> None:
    host.check_root()
    host.ensure_packages(host.missing_packages(node=False, images=True))


def _buildah(*arguments: str, check: bool = True) -> str:
    storage = paths.cache() / "buildah"
    driver = "overlay" if host.has_overlay(storage) else "vfs"
    return _run(
        [
            "buildah",
            f"--root={storage / driver}",
            f"--runroot={storage / driver}-run",
            f"--storage-driver={driver}",
            *arguments,
        ],
        check=check,
    )


def _run(command: list[str], *, check: bool = True) -> str:
    log = paths.cache() / "logs" / "image-build.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as errors:
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=errors, text=True, check=False, env=host.environment()
        )
    if check and done.returncode != 0:
        log.write_text(done.stdout + log.read_text())
        raise ClusterError(f"{command[0]} failed\n{tail(log.read_text())}", where=f"{log}: {' '.join(command)}")
    return done.stdout
