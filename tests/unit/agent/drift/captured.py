"""Long windows of captured requests, and what comparisons of them say."""

import json
from datetime import timedelta

import numpy as np

from perennial.api.contract.commands import CaptureWindow, DriftConfig
from perennial.api.contract.report import DriftReport
from perennial.api.driftmonitor.checks import QualityCheck
from perennial.api.driftmonitor.resource import Checks
from tests.unit.agent.drift.store import DIGEST, NOW, MemoryStore, capture_file, capture_uri, parquet, record, tensors

REFERENCE = "s3://data/train/"
CAPTURE = "s3://capture/churn/"
REPORTS = "s3://reports/churn/"
HOUR = timedelta(hours=1)
DAY = [NOW - index * HOUR for index in range(9)]
"""Only the first may still get files: the one before ended half an hour ago."""


def columns(seed, rows, moved=0.0):
    generator = np.random.default_rng(seed)
    return {
        "normal": generator.normal(moved, 1, rows),
        "whole": generator.poisson(30 + moved, rows),
        "mostly zero": np.where(generator.random(rows) < 0.6, 0.0, generator.normal(moved, 1, rows)),
        "steps": generator.integers(0, 4, rows) / 4,
        "plan": generator.choice(["basic", "plus"], rows),
        "flag": generator.integers(0, 2, rows).astype(bool),
        "id": np.arange(rows) + seed * rows,
    }


def listed(values, rows):
    return {name: [values[name][row].item() for row in rows] for name in values}


def a_file(values, rows, at):
    """Return a capture file with requests of five rows."""
    parts = [rows[start : start + 5] for start in range(0, len(rows), 5)]
    return capture_file(*(record(tensors(**listed(values, part)), at=at) for part in parts))


def stored(values, hours=DAY, reference=None):
    """Return storage with the rows divided evenly among the hours."""
    rows = len(next(iter(values.values())))
    divided = np.array_split(np.arange(rows), len(hours))
    files = {capture_uri(CAPTURE, at): a_file(values, part, at) for at, part in zip(hours, divided, strict=True)}
    return MemoryStore(
        {f"{REFERENCE}0.parquet": parquet(columns(1, 1000) if reference is None else reference), **files}
    )


def config(tmp_path, **changes):
    window = CaptureWindow(uri=CAPTURE, seconds=86_400, period="24h", digest=DIGEST)
    return DriftConfig(
        **{
            "namespace": "team", "monitor": "churn", "deployment": "churn", "digest": DIGEST, "reference": REFERENCE,
            "current": window, "report": REPORTS, "scratch": str(tmp_path),
            "checks": Checks(quality=QualityCheck(suggested=True)), **changes,
        }
    )  # fmt: skip


def outcome(found: DriftReport):
    """Return all that a report says of the data, with moments rounded: their sums depend on the division of rows."""
    kept = found.model_dump(include={"drifted", "features", "not_compared", "quality_findings", "current", "reference"})
    return json.loads(json.dumps(kept, default=str), parse_float=lambda text: float(f"{float(text):.10g}"))
