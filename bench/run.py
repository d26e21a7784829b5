"""The control plane's figures, with their bars: `make bench`, or `python -m bench.run [--quick]`.

Everything runs against a real API server with real controllers and without nodes. Ratios compare what was measured in
the same run, since machines differ and are busy. The table goes to standard output and all of it to build/bench.json;
the exit status is 1 when a bar is missed.
"""

import argparse
import asyncio
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench import control
from bench.field import Field
from bench.figures import Figure, table, write
from bench.signals import end_on_sigterm
from tests.support.cluster import control_plane, install_crds
from tests.support.kube import Kube
from tests.support.operator import OperatorProcess
from tools.cluster.api import Cluster

RESULT = Path("build/bench.json")
CONFIG = {"resyncSeconds": 300, "agent": {"image": "agent:bench"}, "logLevel": "warning"}


def main() -> int:
    """Measure, show and judge."""
    parser = argparse.ArgumentParser(prog="python -m bench.run", description="Measure the control plane.")
    parser.add_argument("--quick", action="store_true", help="a fifth of the objects, 15 s of rest instead of 60")
    parser.add_argument("--only", choices=sorted(control.PARTS), action="append", help="measure only this part")
    arguments = parser.parse_args()
    size = control.QUICK if arguments.quick else control.FULL
    end_on_sigterm()
    started = time.monotonic()
    with control_plane("bench") as cluster, tempfile.TemporaryDirectory() as folder:
        parts = arguments.only or list(control.PARTS)

        def keep(figures: list[Figure]) -> None:
            write(figures, _circumstances(arguments.quick, started), RESULT)

        figures = asyncio.run(_measure(cluster, Path(folder), size, parts, keep))
    print(table(figures))
    print(f"{_circumstances(arguments.quick, started)}; all of it: {RESULT}")
    missed = [figure.name for figure in figures if not figure.passed]
    if missed:
        print(f"missed: {'; '.join(missed)}", file=sys.stderr)
    return 1 if missed else 0


def _circumstances(quick: bool, started: float) -> dict[str, object]:
    return {
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "quick": quick,
        "load": round(os.getloadavg()[1], 2),
        "seconds": round(time.monotonic() - started),
    }


async def _measure(
    cluster: Cluster, folder: Path, size: control.Size, parts: list[str], keep: Callable[[list[Figure]], None]
) -> list[Figure]:
    """Measure part by part; what is known is kept after each, so that an end before the last loses nothing."""
    found: list[Figure] = []
    async with Kube.connected(cluster.kubeconfig) as kube:
        await install_crds(kube)
        for part in parts:
            print(f"measuring: {part} …", file=sys.stderr, flush=True)
            place = folder / part
            place.mkdir()
            operator = OperatorProcess("", place, CONFIG, kubeconfig=cluster.kubeconfig)
            await operator.start()
            try:
                found += await control.PARTS[part](Field(kube, operator, cluster, place), size)
                keep(found)
            except AssertionError as error:
                error.add_note(operator.tail())
                raise
            finally:
                await operator.kill()
    return found


if __name__ == "__main__":
    sys.exit(main())
