"""Shards of a DriftMonitor: pods among which the captured requests of a comparison are divided."""

from typing import Annotated

from pydantic import Field

from perennial.api.common.base import Rule

MOST_SHARDS = 64
LONGEST_NAME = 49
"""Characters of a DriftMonitor's name with shards: the host names of its pods add the time and the index."""

Shards = Annotated[
    int,
    Field(
        ge=1,
        le=MOST_SHARDS,
        description="Number of pods among which the captured requests of each comparison are divided, evenly by size. "
        "resources and workspace are those of each pod. The last pod to finish reads the whole reference, merges the "
        "counts, judges, and deletes what earlier comparisons have left, if its credentials may. More than 1 needs "
        "report, and excludes current.uri and what needs rows or responses: segments, privacy, checks.performance, "
        "checks.estimated, checks.fairness, checks.predictionDrift, checks.multivariate, "
        "checks.quality.maxDuplicates, types in checks.quality.columns, features.embeddings and predictions.output.",
    ),
]

_NO_COLUMNS = "!has(self.checks) || !has(self.checks.quality) || !has(self.checks.quality.columns)"
_NOT_COUNTED = (
    ("segments", "!has(self.segments)", "needs rows"),
    ("privacy", "!has(self.privacy)", "keeps no values in the storage, as shards do"),
    (
        "predictions.output",
        "!has(self.predictions) || !has(self.predictions.output)",
        "makes predictions be compared, which needs responses",
    ),
    ("checks.predictionDrift", "!has(self.checks) || !has(self.checks.predictionDrift)", "needs responses"),
    ("checks.multivariate", "!has(self.checks) || !has(self.checks.multivariate)", "needs rows"),
    ("features.embeddings", "!has(self.features) || !has(self.features.embeddings)", "needs rows"),
    (
        "checks.quality.maxDuplicates",
        "!has(self.checks) || !has(self.checks.quality) || !has(self.checks.quality.maxDuplicates)",
        "needs rows",
    ),
    (
        "a type in checks.quality.columns",
        f"{_NO_COLUMNS} || self.checks.quality.columns.all(item, !has(item.type))",
        "needs rows",
    ),
    *(
        (f"checks.{name}", f"!has(self.checks) || !has(self.checks.{name}) || self.checks.{name}.size() == 0", why)
        for name, why in (
            ("performance", "needs responses"),
            ("estimated", "needs responses"),
            ("fairness", "needs responses"),
        )
    ),
)
"""What a comparison with shards does not do: field, rule for a spec without it, and why."""

SHARD_RULES: tuple[Rule, ...] = (
    Rule(
        rule="self.shards == 1 || has(self.report) && !has(self.current.uri)",
        message="shards divides captured requests and keeps what each pod counted beside the reports: set report, "
        "and current.window instead of current.uri",
    ),
    *(
        Rule(
            rule=f"self.shards == 1 || {rule}",
            message=f"{name} {why}: remove it or shards, or let another DriftMonitor without shards check it",
        )
        for name, rule, why in _NOT_COUNTED
    ),
)
