"""Reference data of a DriftMonitor."""

from typing import Literal

from pydantic import Field

from perennial.api.common.base import Digest, Model, Name, Rule, S3Uri, exactly_one, rules


class Reference(Model):
    """Reference data, usually what the model was trained on."""

    model_config = {
        "json_schema_extra": rules(
            exactly_one("uri", "from"),
            Rule(rule="!has(self.input) || has(self.from)", message="input requires from: TrainingRun"),
            Rule(
                rule="!has(self.digest) || has(self.uri)",
                message="digest requires uri: the files of a training run are held to the digests in its manifest",
            ),
        )
    }

    uri: S3Uri | None = Field(None, description="Parquet, CSV or JSON lines files under a prefix, or one such file.")
    digest: Digest | None = Field(
        None,
        description="Digest that the files under uri must have, as status.lastVerdict.referenceDigest shows it. If "
        "one is added, removed or changed, comparisons fail with ReferenceChanged until they are restored or another "
        "digest is set. Unset: the files that are there are compared, and an Event tells that they have changed.",
    )
    from_: Literal["TrainingRun"] | None = Field(
        None,
        alias="from",
        description="TrainingRun: the training inputs of the model that is served, as listed in its manifest.",
    )
    input: Name | None = Field(None, description="Name of the run's input, if it has several.")
