"""`python -m perennial.generate [--check]`: write the generated files, or list those that are out of date."""

import argparse
import sys
from pathlib import Path

from perennial.generate.files import generated, stale, write

_ROOT = Path(__file__).resolve().parents[3]


def main(arguments: list[str]) -> int:
    """Write or check; return the exit status: 0 done or up to date, 1 out of date, 2 wrong --root."""
    parser = argparse.ArgumentParser(
        prog="python -m perennial.generate", description="Write CRDs, the chart and reference pages from the models."
    )
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if a file is out of date")
    parser.add_argument(
        "--root", type=Path, default=_ROOT, help="the repository; default: the one that contains this module"
    )
    options = parser.parse_args(arguments)
    if not (options.root / "pyproject.toml").is_file():
        sys.stderr.write(f"{options.root} is not the repository: name it with --root\n")
        return 2
    files = generated()
    if not options.check:
        for item in write(options.root, files):
            sys.stdout.write(f"{item.path}\n")
        return 0
    found = stale(options.root, files)
    for item in found:
        sys.stderr.write(f"{item.path} {item.fault}\n")
    if found:
        sys.stderr.write("Run `make generate` and commit the result.\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
