"""Which columns are embeddings, and what is left for the comparison of single columns."""

from collections.abc import Sequence

from perennial.agent.tables.table import Table
from perennial.agent.tables.vectors import Place, place_of
from perennial.api.driftmonitor.checks import QualityCheck
from perennial.api.driftmonitor.resource import Features


def embeddings_of(features: Features, reference: Table) -> tuple[Place, ...]:
    """Return where the embeddings of `features.embeddings` may be found."""
    return tuple(place_of(name, reference) for name in dict.fromkeys(features.embeddings or ()))


def singly(places: Sequence[Place], columns: Sequence[str]) -> tuple[str, ...]:
    """Return the columns that no embedding consists of, in their order."""
    taken = frozenset[str]().union(*(place.columns for place in places))
    return tuple(name for name in columns if name not in taken)


def without_embeddings(
    features: Features, quality: QualityCheck | None, places: Sequence[Place]
) -> tuple[Features, QualityCheck | None, tuple[str, ...]]:
    """Return the selection and constraints of other columns, and findings about constraints of embeddings."""
    names = {place.name for place in places}
    kept = features.include and tuple(name for name in features.include if name not in names)
    left = features.model_copy(update={"include": kept})
    stated = [item.name for item in quality.columns if item.name in names] if quality else []
    if quality is None or not stated:
        return left, quality, ()
    columns = tuple(item for item in quality.columns if item.name not in names)
    why = "not judged by checks.quality.columns, since features.embeddings lets it be compared as a whole"
    return left, quality.model_copy(update={"columns": columns}), tuple(f"{name}: {why}" for name in stated)
