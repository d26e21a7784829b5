"""Ids that join labels to predictions, where either side or both are hashed."""

from dataclasses import dataclass

import polars as pl

from perennial.agent.hashing import HASH, PREFIX, KeyedHash
from perennial.agent.tables.scalars import MAX_TEXT
from perennial.agent.text import count
from perennial.stats.intervals import Undefined

_HASHED = f"^{HASH}(?:/[0-9]+)?$"
"""A hashed id, followed by the number of the row in a request of several."""
_ROW = r"^(.+)(/[0-9]+)$"


@dataclass(frozen=True)
class Identities:
    """How ids are hashed. Equal ids have equal hashes, so labels join as they would in clear.

    Attributes:
        key: None: ids stay as they are.
    """

    key: KeyedHash | None = None

    def one(self, text: str | None) -> str | None:
        """Return an id as it is joined; one that the capture sidecar has hashed stays as it is."""
        return text if self.key is None or text is None else self.key.once(text[:MAX_TEXT])

    def many(self, ids: pl.Series) -> pl.Series:
        """Return ids as they are joined, as `one` does."""
        known = [] if self.key is None else ids.drop_nulls().unique().to_list()
        hidden = [self.one(text) for text in known]
        return ids.replace_strict(known, hidden, return_dtype=pl.String, default=None) if known else ids

    def of_labels(self, ids: pl.Series, predicted: pl.Series) -> pl.Series:
        """Return the ids of labels as they are joined.

        A label for one of several rows of a request has the request's id with the row's number, `<id>/<n>`, and only
        the id is hashed there; which is meant, the predictions tell.

        Args:
            ids: in clear or hashed, shape (n,).
            predicted: ids of the predictions, as they are joined.
        """
        whole = self.many(ids)
        if self.key is None:
            return whole
        parts = ids.str.extract_groups(_ROW).struct.unnest()
        rows = self.many(parts.to_series(0)) + parts.to_series(1)
        return whole.zip_with(whole.is_in(predicted.implode()) | rows.is_null(), rows)

    def check(self, predicted: pl.Series, found: int, key_column: str) -> tuple[str, ...]:
        """Return what is to be said of ids that cannot match since they are hashed.

        Args:
            predicted: ids of the predictions, as they are joined.
            found: number of labels with one of them.
            key_column: column of the labels with the id, for the message.

        Raises:
            Undefined: none can match; the message says what to set.
        """
        if not predicted.str.starts_with(PREFIX).any():
            return ()
        keys = predicted.str.extract(_HASHED)
        if self.key is None:
            if keys.null_count() < keys.len() and not found:
                raise Undefined(
                    f"the ids of predictions are hashed, and no label has such an id: name {key_column} in "
                    "privacy.hash.columns, with the keySecret of the ModelDeployment's capture.hash"
                )
            return ()
        foreign = int((keys.drop_nulls() != self.key.fingerprint).sum())
        text = f"{count(foreign, 'prediction')} had an id that was hashed with another key than privacy.hash.keySecret"
        if foreign and foreign == keys.len():
            raise Undefined(f"{text}: use the key of the ModelDeployment's capture.hash")
        return (f"{text}; no label can be joined to them.",) if foreign else ()


CLEAR = Identities()
"""Ids stay as they are."""
