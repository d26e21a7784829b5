"""Run the test suites one after the other: `make test`, `make test-fast`, `make unit`, ...

The fast suites come first, so that a mistake shows early. The suites that need the embedded cluster say loudly
when they cannot run; in CI (CI=true) that is a failure.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from xml.etree import ElementTree as ET

from tools.cluster.progress import duration
from tools.dev import cache

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Suite:
    """One folder of tests and what it needs."""

    name: str
    paths: tuple[str, ...]
    components: tuple[str, ...] = ()
    needs_root: bool = False
    timeout: int = 60
    workers: int = 0
    """Processes beside one another; 0: in this one."""
    shared_cluster: str | None = None
    """Variable that names one cluster for all processes; `exclusive` tests then run after the others, one by one."""
    once_more: bool = False
    """Modules with a failed test run once more, alone and from the start; see ADR 0019."""


@dataclass(frozen=True)
class Counts:
    """How many tests ended in which way."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0
    blamed: tuple[str, ...] = ()
    """Modules with a failed test."""
    unsteady: tuple[str, ...] = ()
    """Modules that failed beside others and passed alone."""

    def __add__(self, other: Counts) -> Counts:
        """Return the sum of both."""
        return Counts(
            self.passed + other.passed,
            self.failed + other.failed,
            self.skipped + other.skipped,
            (*self.blamed, *other.blamed),
            (*self.unsteady, *other.unsteady),
        )

    def once_more(self, second: Counts) -> Counts:
        """Return what holds after the blamed modules have run again: their failures count if they failed again."""
        if second.failed or not second.passed:
            return self
        return Counts(self.passed + self.failed, 0, self.skipped, unsteady=tuple(dict.fromkeys(self.blamed)))


_MOST_MODULES_ONCE_MORE = 2
"""Load makes a single wait too short; where more modules fail, something is broken."""
_NOTHING_SELECTED = 5
"""What pytest ends with when no test matches."""

API_SERVER = ("kubernetes", "etcd")
WHOLE = (
    *(*API_SERVER, "containerd", "coredns", "metrics-server", "versitygw"),
    *("helm", "kubeconform", "kwok", "promtool", "prometheus"),
)

FAST = (
    Suite("unit", ("tests/unit",), ("versitygw",), workers=2),
    Suite("golden", ("tests/golden",)),
    Suite("reconcile", ("tests/reconcile",)),
    Suite(
        "contract",
        ("tests/contract",),
        (*API_SERVER, "helm", "kubeconform", "gopher-lua", "promtool"),
        needs_root=True,
        timeout=120,
    ),
)
SLOW = (
    Suite("faults", ("tests/faults",), API_SERVER, needs_root=True, timeout=900, workers=2, once_more=True),
    Suite(
        "e2e",
        ("tests/e2e",),
        WHOLE,
        needs_root=True,
        timeout=1500,
        workers=3,
        shared_cluster="PERENNIAL_E2E_CLUSTER",
        once_more=True,
    ),
)
GITOPS = Suite(
    "gitops",
    ("tests/gitops",),
    (*WHOLE, "argocd"),
    needs_root=True,
    timeout=1500,
    shared_cluster="PERENNIAL_E2E_CLUSTER",
)
"""In no group: Argo CD alone takes as long to build as half of the cluster's programs."""
INSTALL = Suite(
    "test-install",
    ("tests/install",),
    (*WHOLE, "crane"),
    needs_root=True,
    timeout=1500,
    shared_cluster="PERENNIAL_E2E_CLUSTER",
)
"""In no group: it needs a cluster of its own."""
SUITES = {suite.name: suite for suite in (*FAST, *SLOW, GITOPS, INSTALL)}
GROUPS = {"fast": FAST, "all": (*FAST, *SLOW)}


def missing(suite: Suite) -> str | None:
    """Return what keeps the suite from running here, or None."""
    if suite.needs_root and os.geteuid() != 0:
        return "it starts a Kubernetes of its own and must be run as root (sudo make test)"
    return None


def build(components: tuple[str, ...]) -> bool:
    """Build the programs of the embedded cluster that are not in the cache yet; tell whether that worked."""
    if not components:
        return True
    done = subprocess.run([sys.executable, "-m", "tools.cluster", "build", *components], cwd=ROOT, check=False)
    return done.returncode == 0


def remaining(suites: Sequence[Suite], known: Mapping[str, float]) -> float | None:
    """Seconds that the suites took when they last ran here, or None if one of them never did."""
    times = [known.get(suite.name) for suite in suites]
    return None if None in times else sum(time for time in times if time is not None)


def header(place: str, suite: Suite, left: float | None) -> str:
    """The line that announces a suite: `=== [2/6] golden, about 4 min left ====`."""
    about = f", about {duration(left)} left" if left is not None else ""
    return f"=== {place} {suite.name}{about} ".ljust(76, "=")


def run(suite: Suite, extra: list[str]) -> Counts:
    """Run one suite and return its counts."""
    reason = missing(suite)
    if reason is not None:
        print(f"!!! SKIPPED: the {suite.name} suite did not run: {reason}", flush=True)
        return Counts(failed=1) if os.environ.get("CI") else Counts(skipped=1)
    if not build(suite.components):
        return Counts(failed=1)
    first = once(suite, extra)
    blamed = tuple(dict.fromkeys(first.blamed))
    if not suite.once_more or not 0 < len(blamed) <= _MOST_MODULES_ONCE_MORE:
        return first
    print(f"\n!!! failed, once more and alone: {', '.join(blamed)}", flush=True)
    return first.once_more(once(replace(suite, paths=blamed, workers=0), extra))


def once(suite: Suite, extra: list[str]) -> Counts:
    """Run a suite's tests, with a cluster of their own where the suite shares one, and return their counts."""
    if suite.shared_cluster is None or suite.shared_cluster in os.environ:
        return pytest(suite, extra, workers=suite.workers)
    name = f"{suite.name}-{os.getpid()}"
    try:
        cluster = {suite.shared_cluster: name}
        beside = pytest(suite, ["-m", "not exclusive", *extra], workers=suite.workers, cluster=cluster)
        return beside + pytest(suite, ["-m", "exclusive", *extra], workers=0, cluster=cluster)
    finally:
        subprocess.run([sys.executable, "-m", "tools.cluster", "down", "--name", name], cwd=ROOT, check=False)


def pytest(suite: Suite, extra: list[str], *, workers: int, cluster: Mapping[str, str] | None = None) -> Counts:
    """Run pytest over a suite's paths, and return its counts; no test selected is fine."""
    report = cache() / "reports" / f"{suite.name}-{os.getpid()}.xml"
    report.parent.mkdir(parents=True, exist_ok=True)
    command = ["pytest", "-q", f"--timeout={suite.timeout}", f"--junitxml={report}", "-p", "no:cacheprovider"]
    # A module's tests share a namespace, so they stay in one process where processes share the cluster.
    # They start in the order of their names: by default, those with one long test would start last.
    together = ["loadfile", "--no-loadscope-reorder"]
    spread = ["-n", str(workers), "--dist", *(together if cluster else ["worksteal"])] if workers else []
    env = {**os.environ, **(cluster or {})}
    done = subprocess.run([*command, *spread, *suite.paths, *extra], cwd=ROOT, env=env, check=False)
    counts = read_counts(report) if report.exists() else Counts(failed=1)
    report.unlink(missing_ok=True)
    return counts + Counts(failed=1) if done.returncode not in (0, _NOTHING_SELECTED) and not counts.failed else counts


def read_counts(report: Path) -> Counts:
    """Return the counts of a JUnit report; errors count as failures."""
    root = ET.parse(report).getroot()  # noqa: S314 - our own file
    bad = [case for case in root.iter("testcase") if case.find("failure") is not None or case.find("error") is not None]
    total = Counts(blamed=tuple(dict.fromkeys(module_of(case) for case in bad)))
    for suite in root.iter("testsuite"):
        tests, failures, errors, skipped = (
            int(suite.get(key, "0")) for key in ("tests", "failures", "errors", "skipped")
        )
        total += Counts(tests - failures - errors - skipped, failures + errors, skipped)
    return total


def module_of(case: ET.Element) -> str:
    """Return the path of a test's module: reports name it with dots, and a class of the module after it."""
    parts = (case.get("classname") or case.get("name") or "").split(".")
    last = next((at for at, part in enumerate(parts) if part.startswith("test_")), len(parts) - 1)
    return "/".join(parts[: last + 1]) + ".py"


def main(arguments: list[str]) -> int:
    """Run a suite or a group of suites; return 1 if anything failed."""
    name, *extra = arguments or ["all"]
    suites = GROUPS.get(name) or ((SUITES[name],) if name in SUITES else None)
    if suites is None:
        print(f"unknown suite {name!r}; choose from {', '.join([*GROUPS, *SUITES])}", file=sys.stderr)
        return 2
    start = time.monotonic()
    times = cache() / "reports" / "seconds.json"
    known: dict[str, float] = json.loads(times.read_text()) if times.exists() else {}
    results: dict[str, Counts] = {}
    for number, suite in enumerate(suites, 1):
        print("\n" + header(f"[{number}/{len(suites)}]", suite, remaining(suites[number - 1 :], known)), flush=True)
        begun = time.monotonic()
        results[suite.name] = run(suite, extra)
        took = time.monotonic() - begun
        print(f"--- {suite.name}: {duration(took)}", flush=True)
        if not extra and not results[suite.name].failed:
            known[suite.name] = round(took, 1)
            times.write_text(json.dumps(known))
    total = sum(results.values(), Counts())
    failed = [suite for suite, counts in results.items() if counts.failed]
    print(f"\nall suites: {duration(time.monotonic() - start)}")
    if total.unsteady:
        print(f"!!! failed beside other tests and passed alone: {', '.join(total.unsteady)}")
    if failed:
        print(f"failed: {', '.join(failed)}. Run one again with: make {failed[0]}")
    print(f"{total.passed} passed, {total.failed} failed, {total.skipped} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
