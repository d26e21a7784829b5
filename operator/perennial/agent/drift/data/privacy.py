"""Privacy of comparisons: columns that are dropped or hashed, and the least number of rows behind a figure."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace

import polars as pl

from perennial.agent.drift.data.ids import CLEAR, Identities
from perennial.agent.hashing import KeyedHash, keyed_hash
from perennial.agent.storage.errors import AgentError
from perennial.agent.tables.table import Table, as_text
from perennial.api.contract.commands import DriftConfig
from perennial.core.failures import CONFIG_INVALID


@dataclass(frozen=True)
class Guard:
    """What is kept from the data.

    Attributes:
        dropped: columns that are treated as if the data had none of that name.
        hashed: columns whose values are replaced by a keyed hash.
        key: the hash; None: nothing is hashed.
        least: smallest number of rows behind what a report shows; None: the defaults of each place.
        identities: how the ids that join labels are hashed.
    """

    dropped: frozenset[str] = frozenset()
    hashed: frozenset[str] = frozenset()
    key: KeyedHash | None = None
    least: int | None = None
    identities: Identities = CLEAR

    def table(self, table: Table) -> Table:
        """Return a table without the dropped columns, whose hashed columns are hashed whenever they are read."""
        partitions = tuple(
            replace(
                partition,
                schema={
                    name: pl.String() if name in self.hashed else kind
                    for name, kind in partition.schema.items()
                    if name not in self.dropped
                },
            )
            for partition in table.partitions
        )
        return replace(table, partitions=partitions, hidden=self.hide if self.hashed else None)

    def frame(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return a frame with its hashed columns hashed, and without the dropped ones."""
        kept = frame.drop([name for name in self.dropped if name in frame.columns])
        return kept.with_columns(
            *(self.hide(name, kept.get_column(name)) for name in self.hashed if name in kept.columns)
        )

    def hide(self, name: str, series: pl.Series) -> pl.Series:
        """Return a column as it may be shown; values stay equal or different as their texts are.

        What the capture sidecar has hashed stays as it is.
        """
        key = self.key
        if key is None or name not in self.hashed:
            return series
        texts = as_text(series)
        known = texts.drop_nulls().unique().to_list()
        return texts.replace_strict(known, [key.once(text) for text in known], return_dtype=pl.String, default=None)


def guard_of(config: DriftConfig, environment: Mapping[str, str] = os.environ) -> Guard:
    """Build the guard of a comparison.

    Args:
        config: names the columns.
        environment: holds the key of the hash.

    Raises:
        AgentError: HashKeyInvalid, if the key is missing or too short; ConfigInvalid, if a check needs what is hidden.
    """
    privacy = config.privacy
    if privacy is None:
        return Guard()
    dropped = frozenset(privacy.drop or ())
    hashed = frozenset(privacy.hash.columns if privacy.hash else ()) - dropped
    _refuse_needed(config, dropped, hashed)
    if privacy.hash is None:
        return Guard(dropped, least=privacy.minimum_group)
    key = keyed_hash(privacy.hash.key_secret, "privacy.hash.keySecret", environment)
    identities = Identities(key) if _identity(config) in hashed else CLEAR
    return Guard(dropped, hashed, key, privacy.minimum_group, identities)


def _identity(config: DriftConfig) -> str | None:
    """Return the column with the id that joins labels to predictions."""
    labels = config.ground_truth
    return (labels.id or labels.key) if labels else None


def _refuse_needed(config: DriftConfig, dropped: frozenset[str], hashed: frozenset[str]) -> None:
    """Refuse to hide what checks are computed from.

    Raises:
        AgentError: ConfigInvalid, naming the column.
    """
    labels = config.ground_truth
    needed: tuple[tuple[str | None, str], ...] = (
        (labels.label if labels else None, "the label"),
        (_identity(config), "the id of predictions"),
        (config.predictions.output, "the prediction"),
        *((name, "an embedding, of which reports show no value") for name in config.features.embeddings or ()),
    )
    for name, role in needed:
        # An id is compared for equality only, which its hash keeps.
        if name in dropped or (name in hashed and name != _identity(config)):
            raise AgentError(
                CONFIG_INVALID,
                f"privacy drops or hashes the column {name}, which is {role}: remove it there; reports show rates and "
                "metrics of it only",
            )


def guarded(config: DriftConfig, least: int | None) -> DriftConfig:
    """Return the configuration with groups and segments of at least `least` rows."""
    if least is None:
        return config
    fairness = tuple(
        check.model_copy(update={"min_group_rows": max(check.min_group_rows, least)})
        for check in config.checks.fairness
    )
    segments = config.segments and tuple(
        segment.model_copy(update={"min_rows": max(segment.min_rows, least)}) for segment in config.segments
    )
    checks = config.checks.model_copy(update={"fairness": fairness})
    return config.model_copy(update={"checks": checks, "segments": segments})
