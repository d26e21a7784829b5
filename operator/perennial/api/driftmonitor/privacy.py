"""Privacy of a DriftMonitor's reports."""

from typing import Annotated

from pydantic import Field

from perennial.api.common.base import Model
from perennial.api.common.pod import KeyRef
from perennial.api.driftmonitor.checks import ColumnName

_Columns = Annotated[tuple[ColumnName, ...], Field(min_length=1, max_length=100)]


class Hashing(Model):
    """Columns whose values are replaced by a keyed hash."""

    columns: _Columns = Field(
        description="Columns whose values are replaced by hmac:<name of the key>:<first 16 hexadecimal digits of "
        "their HMAC-SHA256>, in reference and current data: they are compared as categories, and no report shows a "
        "value. Values that capture.hash of the ModelDeployment has hashed stay as they are. The id that joins labels "
        "(groundTruth.id, else key) may be among them: then it is hashed in predictions and labels."
    )
    key_secret: KeyRef = Field(
        description="Key of a Secret that holds the key of the hash, at least 16 bytes of text. Only the pods of the "
        "comparisons read it. Both sides are hashed in each comparison, so that it can be changed at any time, unless "
        "the ModelDeployment has capture.hash: then it must be the same key."
    )


class Privacy(Model):
    """What reports may show of the data."""

    minimum_group: int = Field(
        10,
        ge=5,
        le=10000,
        description="Minimum number of rows behind whatever a report shows: instead of minimum and maximum the values "
        "that so many rows lie below and above, categories and segments with fewer rows without their names, and "
        "fairness only between groups of this size.",
    )
    drop: _Columns | None = Field(
        None, description="Columns that are left out as if the data had none of that name, such as names and addresses."
    )
    hash: Hashing | None = Field(None, description="Columns that are compared by a keyed hash of their values.")
