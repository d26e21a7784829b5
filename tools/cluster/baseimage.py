"""The base of the project's images where no Docker is: Debian's packages for Python and little else."""

import hashlib
import json
import shutil
import subprocess
from pathlib import Path

from tools.cluster import host, paths
from tools.cluster.errors import ClusterError, tail
from tools.cluster.locks import locked
from tools.cluster.progress import step

SUITE = "bookworm"
PYTHON = "python3.11"
# usr-is-merged instead of usrmerge, which would bring 60 MB of Perl; the hook merges /usr before anything is unpacked.
# libstdc++6: what binary wheels expect of every system. netbase: names of ports and protocols.
PACKAGES = (PYTHON, "python3-minimal", "usr-is-merged", "ca-certificates", "libstdc++6", "netbase", "tzdata")
# Debian's copyright files stay, as its licence terms ask.
EXCLUDED = ("man", "info", "locale", "lintian", "bash-completion")
HOOKS = (
    f'ln -s /usr/bin/{PYTHON} "$1/usr/local/bin/python"',
    'find "$1/usr/share/doc" -type f ! -name copyright -delete',
    # Made anew by whoever runs the image, and different on every machine.
    'rm -rf "$1"/var/cache/* "$1"/var/log/* "$1"/etc/machine-id "$1"/etc/hostname "$1"/etc/resolv.conf',
)
MERGED_USR = "/usr/share/mmdebstrap/hooks/merged-usr"
ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8", "SSL_CERT_DIR": "/etc/ssl/certs"}


def recipe_hash() -> str:
    """Changes with anything that shapes the base."""
    recipe = [SUITE, PACKAGES, EXCLUDED, HOOKS, ENVIRONMENT]
    return hashlib.sha256(json.dumps(recipe).encode()).hexdigest()[:12]


def name() -> str:
    """The local name of the base image."""
    return f"localhost/perennial-base:{recipe_hash()}"


def command(tar: Path) -> list[str]:
    """The call of mmdebstrap that writes the root file system as a tar file."""
    options = [f"--dpkgopt=path-exclude=/usr/share/{folder}/*" for folder in EXCLUDED]
    hooks = [f"--hook-dir={MERGED_USR}", *(f"--customize-hook={hook}" for hook in HOOKS)]
    include = f"--include={','.join(PACKAGES)}"
    return ["mmdebstrap", "--variant=essential", include, *options, *hooks, "--format=tar", SUITE, str(tar)]


def root_archive() -> Path:
    """The root file system as a tar file, made once and kept in the cache.

    Raises:
        ClusterError: mmdebstrap is missing or failed.
    """
    final = paths.cache() / "images" / f"base-{recipe_hash()}.tar"
    if final.exists():
        return final
    host.ensure_packages(host.missing_packages(node=False, images=True))
    host.check_free_disk(paths.cache(), 2, "building images")
    with locked("base-image", waiting="another build of the base image is running; waiting"):
        if final.exists():
            return final
        final.parent.mkdir(parents=True, exist_ok=True)
        partial = final.with_suffix(".partial")
        partial.unlink(missing_ok=True)
        with step("base image: Debian with Python", 30):
            done = subprocess.run(command(partial), capture_output=True, text=True, check=False, env=host.environment())
        if done.returncode != 0:
            partial.unlink(missing_ok=True)
            raise ClusterError(
                f"mmdebstrap could not make the base image\n{tail(done.stderr)}",
                where=shutil.which("mmdebstrap") or "mmdebstrap",
                fix="it fetches Debian packages: check the network and the apt proxy settings; or install Docker",
            )
        partial.rename(final)
        for older in set(final.parent.glob("base-*.tar")) - {final}:
            older.unlink(missing_ok=True)
    return final
