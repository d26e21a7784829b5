"""Build the project's images: `python -m tools.image operator|demo`.

The Python packages are installed outside the build, from a lock file with hashes, and copied in; so the build itself
needs no network, and Docker, buildah and CI give the same files. The tag is a hash of everything that goes in: a
changed image gets a new name, and a cluster that has the old one cannot mistake it.
"""

import hashlib
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tools.cluster import images, paths
from tools.cluster.errors import ClusterError, tail
from tools.cluster.locks import locked
from tools.cluster.progress import step

ROOT = Path(__file__).resolve().parent.parent
PYTHON = "3.11"
"""Python of the base images; wheels are chosen for it, whatever Python runs this."""

_AWS_SERVICES = frozenset({"s3", "sts", "sso", "sso-oidc", "signin"})
"""What the agent's boto3 needs: S3, and the ways to get credentials. The other 400 services weigh 20 MB."""
_SOURCES = ("uvloop/**/*.c", "**/*.pyx", "**/*.pxd", "**/*.pyi")
"""What was compiled, and what only type checkers read."""
_TYPED_OBJECTS = tuple(f"kubernetes/{part}/{kind}" for part in ("client", "aio/client") for kind in ("api", "models"))
"""A class for every object and call, loaded when first named; the operator speaks raw objects and names none. 60 MB."""
_TAG_DIGITS = 12


@dataclass(frozen=True)
class Image:
    """A built image: its name, and the archive that holds it."""

    name: str
    archive: Path


@dataclass(frozen=True)
class Recipe:
    """What an image is made of."""

    name: str
    lock: str
    containerfile: Path
    files: tuple[tuple[Path, str], ...]
    """Folders and files of the repository, and their names in the context."""
    trim: Callable[[Path], None]
    seconds: int


def _trim_common(folder: Path) -> None:
    """Take out what no program reads at run time."""
    for pattern in ("**/__pycache__", "**/tests", "**/test"):
        for found in sorted(folder.glob(pattern), reverse=True):
            # Some packages keep code in `testing`; plain test folders are never imported by what we run.
            shutil.rmtree(found, ignore_errors=True)
    shutil.rmtree(folder / "bin", ignore_errors=True)


def _trim_operator(folder: Path) -> None:
    _trim_common(folder)
    for pattern in _SOURCES:
        for found in folder.glob(pattern):
            found.unlink()
    for models in _TYPED_OBJECTS:
        for found in (folder / models).glob("[!_]*.py"):
            found.unlink()
    data = folder / "botocore" / "data"
    for service in data.iterdir():
        if service.is_dir() and service.name not in _AWS_SERVICES:
            shutil.rmtree(service)


def _trim_demo(folder: Path) -> None:
    _trim_common(folder)


RECIPES: dict[str, Recipe] = {
    "operator": Recipe(
        name="localhost/perennial",
        lock="runtime.lock",
        containerfile=ROOT / "Containerfile",
        files=((ROOT / "operator" / "perennial", "perennial"),),
        trim=_trim_operator,
        seconds=60,
    ),
    "demo": Recipe(
        name="localhost/perennial-demo",
        lock="demo.lock",
        containerfile=ROOT / "examples" / "cancer" / "Containerfile",
        files=tuple(
            (ROOT / "examples" / "cancer" / name, f"app/{name}") for name in ("data.py", "train.py", "traffic.py")
        ),
        trim=_trim_demo,
        seconds=90,
    ),
}


def build(which: str) -> Image:
    """Build an image, or find it built.

    Raises:
        ClusterError: a package cannot be installed or the build failed; says which, and where the log is.
    """
    recipe = RECIPES[which]
    base = images.base_image()
    packages = site_packages(recipe)
    with tempfile.TemporaryDirectory(prefix="context-", dir=_folder("contexts")) as name:
        context = Path(name)
        shutil.copytree(packages, context / "site-packages", copy_function=_link)
        for source, target in recipe.files:
            place = context / target
            place.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, place, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy2(source, place)
        arguments = {"BASE": base}
        digest = images.content_hash(recipe.containerfile, context, recipe.name, arguments)[:_TAG_DIGITS]
        tag = f"{recipe.name}:{digest}"
        return Image(tag, images.build_image(recipe.containerfile, context, tag, arguments))


def site_packages(recipe: Recipe) -> Path:
    """Return a folder with the packages of a lock file, installed once for each content of it."""
    lock = ROOT / "requirements" / recipe.lock
    trimming = Path(__file__).read_bytes()
    key = hashlib.sha256(lock.read_bytes() + trimming + platform.machine().encode()).hexdigest()[:_TAG_DIGITS]
    folder = _folder("site-packages") / f"{lock.stem}-{key}"
    if folder.exists():
        return folder
    with locked(f"site-packages-{lock.stem}", waiting="another build installs the packages; waiting"):
        if not folder.exists():
            _install(lock, folder, recipe)
    return folder


def _install(lock: Path, folder: Path, recipe: Recipe) -> None:
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    log = folder.with_suffix(".log")
    machine = platform.machine()
    platforms = [f"--platform=manylinux_{version}_{machine}" for version in ("2_28", "2_27", "2_17")]
    command = [
        sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-compile",
        "--require-hashes", "--only-binary=:all:", f"--python-version={PYTHON}", "--implementation=cp",
        f"--abi=cp{PYTHON.replace('.', '')}", "--abi=abi3", "--abi=none",
        *platforms, f"--platform=manylinux2014_{machine}",
        f"--target={partial}", "-r", str(lock),
    ]  # fmt: skip
    with step(f"install the packages of {lock.name}", recipe.seconds), log.open("w") as output:
        done = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, check=False)
    if done.returncode != 0:
        raise ClusterError(
            f"the packages of {lock.name} could not be installed:\n{tail(log.read_text())}", fix=f"see {log}"
        )
    recipe.trim(partial)
    partial.rename(folder)


def _link(source: str, target: str) -> str:
    """Link instead of copying: the context lives for a second, and holds hundreds of megabytes."""
    Path(target).hardlink_to(source)
    return target


def _folder(name: str) -> Path:
    folder = paths.cache() / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def main(arguments: list[str]) -> int:
    """Build the images named; print the name and the archive of each."""
    wanted = arguments or list(RECIPES)
    if unknown := [name for name in wanted if name not in RECIPES]:
        print(f"unknown image {unknown[0]}; choose from {', '.join(RECIPES)}", file=sys.stderr)
        return 2
    try:
        for name in wanted:
            image = build(name)
            print(f"{image.name}  {image.archive}  {image.archive.stat().st_size / 1e6:.0f} MB")
    except ClusterError as error:
        print(f"perennial: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
