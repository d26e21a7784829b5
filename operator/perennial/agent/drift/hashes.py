"""Finds columns whose hashed values cannot be compared: in clear on one side, or hashed with another key."""

import polars as pl

from perennial.agent.hashing import HASH, PREFIX

_CLEAR = (
    "its values are hashed in a part of the data only: name it in privacy.hash.columns, with the keySecret of the "
    "ModelDeployment's capture.hash"
)
_OTHER_KEY = (
    "its values are hashed with different keys, as after a change of the key: use one key, and wait until the window "
    "begins after the change"
)


def hashed_apart(reference: pl.Series, current: pl.Series) -> str | None:
    """Return why hashes on both sides cannot be compared; None if they can, or if there are none."""
    if not (_has_hashes(reference) or _has_hashes(current)):
        return None
    before, now = _keys(reference), _keys(current)
    if before == now or not before or not now:
        return None
    return _CLEAR if None in before | now else _OTHER_KEY


def _has_hashes(series: pl.Series) -> bool:
    return series.dtype == pl.String and bool(series.str.starts_with(PREFIX).any())


def _keys(series: pl.Series) -> frozenset[str | None]:
    """Return the fingerprints of the keys of hashes, and None for values that are no hashes."""
    values = series.drop_nulls()
    if values.dtype != pl.String:
        return frozenset({None}) if values.len() else frozenset()
    return frozenset(values.str.extract(f"^{HASH}$").unique().to_list())
