"""The part of a pod spec that users may set, shared by the three resources.

Restricted on purpose: permission to create a resource must not give access to the host or to another account.
"""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from perennial.api.common.base import (
    Model,
    Name,
    ObjectName,
    Quantity,
    ResourceQuantity,
    Rule,
    S3Uri,
    ShortText,
    exactly_one,
    list_map,
    rules,
)

EnvName = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[A-Za-z_][A-Za-z0-9_.-]*$")]
LabelKey = Annotated[str, Field(max_length=317)]
Args = Annotated[
    tuple[Annotated[str, Field(max_length=8192)], ...],
    Field(max_length=128),
]


class KeyRef(Model):
    """A key of a Secret or ConfigMap in the same namespace."""

    name: ObjectName = Field(description="Name of the object, in this resource's namespace.")
    key: Annotated[str, Field(min_length=1, max_length=253)] = Field(description="Key within the object.")


class EnvSource(Model):
    """Where an environment variable's value comes from."""

    model_config = {"json_schema_extra": rules(exactly_one("secretKeyRef", "configMapKeyRef"))}

    secret_key_ref: KeyRef | None = Field(
        None, description="A key of a Secret. Only the kubelet reads it, not the operator."
    )
    config_map_key_ref: KeyRef | None = Field(None, description="A key of a ConfigMap.")


class EnvVar(Model):
    """An environment variable."""

    model_config = {
        "json_schema_extra": rules(
            Rule(
                rule="!self.name.startsWith('PERENNIAL_')",
                message="names that start with PERENNIAL_ are reserved; choose another name",
            ),
            Rule(rule="!(has(self.value) && has(self.valueFrom))", message="set value or valueFrom, not both"),
        )
    }

    name: EnvName = Field(description="Name of the variable.")
    value: Annotated[str, Field(max_length=8192)] | None = Field(None, description="Value, as plain text.")
    value_from: EnvSource | None = Field(None, description="Secret or ConfigMap key with the value.")


class LocalRef(Model):
    """Reference to an object in the same namespace."""

    name: ObjectName = Field(description="Name of the object, in this resource's namespace.")


class EnvFromSource(Model):
    """A Secret or ConfigMap whose keys become environment variables."""

    model_config = {"json_schema_extra": rules(exactly_one("secretRef", "configMapRef"))}

    secret_ref: LocalRef | None = Field(None, description="A Secret. Only the kubelet reads it, not the operator.")
    config_map_ref: LocalRef | None = Field(None, description="A ConfigMap.")


Resources = Annotated[dict[str, ResourceQuantity], Field(max_length=16)]


class ResourceRequirements(Model):
    """Resource requests and limits, as in a pod: CPU, memory, and extended resources such as GPUs."""

    requests: Resources | None = Field(None, description="Reserved resources, such as {cpu: 500m, memory: 1Gi}.")
    limits: Resources | None = Field(None, description="Maximum resources, such as {memory: 2Gi, nvidia.com/gpu: 1}.")


class Toleration(Model):
    """Allows pods on nodes with a matching taint, such as GPU nodes."""

    # What the API server would reject in a pod is rejected here, where the user sees it.
    model_config = {
        "json_schema_extra": rules(
            Rule(
                rule="has(self.key) || has(self.operator) && self.operator == 'Exists'",
                message="without a key, operator must be Exists",
            ),
            Rule(
                rule="!(has(self.operator) && self.operator == 'Exists' && has(self.value))",
                message="operator Exists does not take a value",
            ),
            Rule(
                rule="!has(self.tolerationSeconds) || has(self.effect) && self.effect == 'NoExecute'",
                message="tolerationSeconds requires effect: NoExecute",
            ),
        )
    }

    key: LabelKey | None = Field(None, description="Key of the taint; unset with operator Exists: every taint.")
    operator: Literal["Exists", "Equal"] | None = Field(None, description="Exists or Equal (the default).")
    value: Annotated[str, Field(max_length=63)] | None = Field(None, description="Value of the taint, for Equal.")
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = Field(
        None, description="Effect of the taint; unset: every effect."
    )
    toleration_seconds: int | None = Field(
        None, ge=0, le=2**31 - 1, description="Seconds to stay on a node after a NoExecute taint was added."
    )


class PodOptions(Model):
    """Where and how the pods of a resource run."""

    resources: ResourceRequirements | None = Field(None, description="Requests and limits of the main container.")
    node_selector: Annotated[dict[str, Annotated[str, Field(max_length=63)]], Field(max_length=32)] | None = Field(
        None, description="Labels of the nodes that may run the pods."
    )
    tolerations: Annotated[tuple[Toleration, ...], Field(max_length=32)] | None = Field(
        None, description="Tolerations of node taints."
    )
    priority_class_name: ObjectName | None = Field(None, description="PriorityClass of the pods.")
    runtime_class_name: ObjectName | None = Field(None, description="RuntimeClass of the pods, such as nvidia.")
    image_pull_secrets: Annotated[tuple[LocalRef, ...], Field(max_length=8)] | None = Field(
        None, description="Secrets with registry credentials, in this resource's namespace."
    )


class Workspace(Model):
    """The scratch volume at /perennial."""

    size_limit: Quantity | None = Field(
        None, description="Maximum size of the volume, such as 20Gi. Unset: limited only by the node."
    )
    medium: Literal["Memory"] | None = Field(
        None,
        description="Memory: keep the volume in RAM, counted against the memory limit. Unset: the node's disk.",
    )


class Encryption(Model):
    """Server-side encryption that the storage applies to written objects."""

    model_config = {
        "json_schema_extra": rules(
            Rule(
                rule="!has(self.kmsKeyId) || self.type != 'AES256'",
                message="AES256 uses a key of the storage; remove kmsKeyId, or set type to aws:kms",
            ),
        )
    }

    type: Literal["AES256", "aws:kms", "aws:kms:dsse"] = Field(
        description="AES256: with a key of the storage (SSE-S3). aws:kms, aws:kms:dsse: with a key of the key "
        "management service, once or in two layers."
    )
    kms_key_id: Annotated[str, Field(min_length=1, max_length=2048, pattern=r"^[^\s]+$")] | None = Field(
        None, description="Id, ARN or alias of the KMS key. Unset: the default key of the storage."
    )


class Storage(Model):
    """How pods reach S3-compatible storage. Credentials stay in a Secret that only pods read."""

    endpoint: Annotated[str, Field(max_length=512, pattern=r"^https?://[^\s/]+$")] | None = Field(
        None, description="URL of the S3 service, such as https://s3.example.com:9000. Unset: AWS."
    )
    region: Annotated[str, Field(max_length=64)] | None = Field(None, description="Region name. Unset: us-east-1.")
    secret_name: ObjectName | None = Field(
        None,
        description="Secret with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_SESSION_TOKEN if needed). "
        "Unset: the pod's workload identity.",
    )
    ca_config_map: ObjectName | None = Field(
        None,
        description="ConfigMap whose key ca.crt contains the CA certificates of the endpoint, in PEM format.",
    )
    addressing: Literal["path", "virtual", "auto"] = Field(
        "auto",
        description="Bucket name in the path (path), in the host name (virtual), or chosen by the client library "
        "(auto).",
    )
    encryption: Encryption | None = Field(
        None,
        description="Encryption headers sent with every written object, which the policies of some buckets require. "
        "Unset: none, so the bucket's default encryption applies.",
    )


Env = Annotated[tuple[EnvVar, ...], Field(max_length=64, json_schema_extra=list_map("name"))]
EnvFrom = Annotated[tuple[EnvFromSource, ...], Field(max_length=16)]
PullPolicy = Literal["Always", "IfNotPresent", "Never"]
Image = Annotated[str, Field(min_length=1, max_length=512, pattern=r"^[^\s]+$")]


class Input(Model):
    """Data that is fetched before the main container starts."""

    name: Name = Field(description="Folder below /perennial/inputs.")
    uri: S3Uri = Field(
        description="An object, or a prefix that ends in a slash. s3://data/a/ does not match s3://data/a-b/."
    )


class Source(Model):
    """Source of the code in the image. Recorded for lineage, not fetched."""

    repository: ShortText | None = Field(None, description="URL of the repository.")
    commit: Annotated[str, Field(max_length=64)] | None = Field(
        None, description="Commit that the image was built from."
    )


def shared_env_name(parameter: str) -> str:
    """Environment variable of a parameter: `max_depth` becomes `PERENNIAL_PARAM_MAX_DEPTH`."""
    return f"PERENNIAL_PARAM_{parameter.upper()}"


class Parameters(Model):
    """Named values for the user code, checked for collisions of their environment variables."""

    values: dict[str, str]

    @model_validator(mode="after")
    def _no_collisions(self) -> "Parameters":
        seen: dict[str, str] = {}
        for name in self.values:
            twin = seen.setdefault(shared_env_name(name), name)
            if twin != name:
                raise ValueError(f"parameters {twin} and {name} share the variable {shared_env_name(name)}; rename one")
        return self


__all__ = [
    "Args",
    "Env",
    "EnvFrom",
    "EnvFromSource",
    "EnvSource",
    "EnvVar",
    "Image",
    "Input",
    "KeyRef",
    "LocalRef",
    "Parameters",
    "PodOptions",
    "PullPolicy",
    "ResourceRequirements",
    "Source",
    "Storage",
    "Toleration",
    "Workspace",
    "shared_env_name",
]
