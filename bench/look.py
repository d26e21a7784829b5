"""How long one reconcile holds the event loop, for TrainingJobs at the limits of the CRD.

    python3 tools/dev.py python -m bench.look

A look is parse, observe and decide: what runs between two turns of the event loop. It is measured on the worst states
that each spec passes: new, under way, and with a full history. The exit status is 1 when a bar is missed.
"""

import copy
import sys
from statistics import median
from time import perf_counter
from typing import Any

from bench.figures import Figure, table
from perennial.core.serialized import serialized_bytes
from tests.support.builders import training_job
from tests.unit.training.simulation import Cluster
from tests.unit.training.test_limits import LIMITS, PARAMETERS, WIDE

BAR_MILLISECONDS = 50.0
LOOKS = 7

EQUAL_VALUES: dict[str, Any] = {
    "sweep": {
        "grid": {f"p{number}": ["same"] * 64 for number in range(8)},
        "objective": {"metric": "auc"},
        "parallel": 64,
    }
}
DIFFERENT_VALUES: dict[str, Any] = {
    "sweep": {
        "grid": {f"p{number}": [str(value) for value in range(64)] for number in range(8)},
        "objective": {"metric": "auc"},
        "trials": 64,
        "parallel": 64,
    }
}
STORED_BYTES = 1_500_000
"""What etcd stores of one object (1.5 MiB by default, less its metadata): a larger spec never reaches the operator."""
ARGUMENTS = [WIDE * 8192] * 44
SPECS = [
    *((name, spec) for name, spec in LIMITS if serialized_bytes(spec) <= STORED_BYTES),
    ("args of 1.4 MiB", {"args": ARGUMENTS}),
    ("8 steps of 176 KiB", {"prepare": [{"name": f"s{number}", "args": ARGUMENTS[:5]} for number in range(8)]}),
    ("grid of 8 x 64 equal values", EQUAL_VALUES),
    ("grid of 8 x 64 values", DIFFERENT_VALUES),
]


def main() -> int:
    """Measure every spec and print the table."""
    figures = [Figure(f"one look: {name}", slowest(spec), "ms", BAR_MILLISECONDS) for name, spec in SPECS]
    figures.append(Figure("one look: 50 records with full parameters", of_history(), "ms", BAR_MILLISECONDS))
    print(table(figures))
    return 0 if all(figure.passed for figure in figures) else 1


def slowest(spec: dict[str, Any]) -> float:
    """Milliseconds of a look, in the slowest of the first states of a resource."""
    cluster = Cluster(resource=training_job(spec, resourceVersion="1"), most_alive=64)
    found = []
    for _ in range(3):
        found.append(timed(cluster))
        cluster.reconcile()
    return max(*found, timed(cluster))


def of_history() -> float:
    """Milliseconds of a look at a resource whose status is as large as it gets."""
    cluster = Cluster(resource=training_job({"history": {"runs": 50}}, resourceVersion="1"))
    cluster.settle()
    (first,) = cluster.resource["status"]["runs"]
    fat = {**first, "parameters": PARAMETERS}
    records = [{**fat, "number": number, "name": f"churn-{number}"} for number in range(50, 0, -1)]
    cluster.change(status={**copy.deepcopy(cluster.resource["status"]), "runs": records, "runCount": 50})
    return timed(cluster)


def timed(cluster: Cluster) -> float:
    """Median of several looks at one state, in milliseconds."""
    durations = []
    for _ in range(LOOKS):
        started = perf_counter()
        cluster.decide()
        durations.append(perf_counter() - started)
    return median(durations) * 1000


if __name__ == "__main__":
    sys.exit(main())
