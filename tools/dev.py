#!/usr/bin/env python3
"""Run a command inside the project's virtual environment, which is made on first use.

    python3 tools/dev.py pytest tests/unit

The environment lies in the user's cache, named after the lock file and the interpreter, so that a changed lock
file gets a fresh one and two checkouts with the same lock share one. Needs nothing but Python 3.11 or newer.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCK_FILE = ROOT / "requirements" / "dev.lock"
OLDEST = (3, 11)
CANDIDATES = ("python3.11", "python3.12", "python3.13", "python3.14", "python3")


def cache() -> Path:
    """Return the folder outside the repository that holds everything built."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "perennial"


def interpreter() -> str:
    """Return a Python that is new enough, or end with a message.

    A candidate is run, not only found: a version manager's shim may stand for nothing.
    """
    for name in CANDIDATES:
        path = shutil.which(name)
        if path is None:
            continue
        probe = subprocess.run(
            [path, "-c", "import sys, venv; print(*sys.version_info[:2])"], capture_output=True, text=True, check=False
        )
        if probe.returncode == 0 and tuple(map(int, probe.stdout.split())) >= OLDEST:
            return path
    sys.exit(
        "perennial: no Python 3.11 or newer with the venv module was found.\n"
        "Install one (Debian: apt-get install python3 python3-venv) and run the command again."
    )


def environment() -> Path:
    """Return the virtual environment's folder; make it and fill it from the lock file where it is missing."""
    python = interpreter()
    version = subprocess.run([python, "-VV"], capture_output=True, text=True, check=True).stdout
    key = hashlib.sha256(LOCK_FILE.read_bytes() + version.encode()).hexdigest()[:12]
    folder = cache() / "venvs" / key
    if (folder / "complete").exists():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f"{key}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "complete").exists():
            _fill(python, folder)
    return folder


def _fill(python: str, folder: Path) -> None:
    """Make the environment and install what the lock file names, hashes checked."""
    start = time.monotonic()
    print("perennial: installing the development tools, once (about a minute) ...", file=sys.stderr, flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    log = folder.with_suffix(".log")
    with log.open("w") as output:
        for command in (
            [python, "-m", "venv", str(folder)],
            [
                str(folder / "bin" / "python"),
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
                "--require-hashes",
                # The lock file is complete; with hashes, pip cannot resolve a dependency on `name[extra]` by it.
                "--no-deps",
                "-r",
                str(LOCK_FILE),
            ],
        ):
            done = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, check=False)
            if done.returncode != 0:
                tail = "\n".join(log.read_text().splitlines()[-5:])
                sys.exit(f"perennial: installing the development tools failed ({command[-1]}).\n{tail}\nLog: {log}")
    (folder / "complete").touch()
    print(f"perennial: installed in {time.monotonic() - start:.0f} s", file=sys.stderr, flush=True)


def main() -> None:
    """Replace this process by the command, with the environment's programs first on PATH."""
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    folder = environment()
    paths = [str(ROOT / "operator"), str(ROOT)]
    env = {
        **os.environ,
        "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}",
        "VIRTUAL_ENV": str(folder),
        "PYTHONPATH": os.pathsep.join([*paths, *filter(None, [os.environ.get("PYTHONPATH")])]),
    }
    program = shutil.which(sys.argv[1], path=env["PATH"])
    if program is None:
        sys.exit(f"perennial: {sys.argv[1]} is not in the development environment ({folder})")
    os.execvpe(program, sys.argv[1:], env)  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    main()
