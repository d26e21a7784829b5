"""The narrow part of a pod that a user may set, shared by the three resources.

Typed and narrow on purpose: who can create a resource must not thereby gain host access or another account.
"""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from perennial.api.common.base import (
    Model,
    Name,
    ObjectName,
    Quantity,
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
        None, description="A key of a Secret. The kubelet reads it, never the operator."
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
    value: Annotated[str, Field(max_length=8192)] | None = Field(None, description="Its value, as plain text.")
    value_from: EnvSource | None = Field(None, description="A Secret or ConfigMap key that holds the value.")


class LocalRef(Model):
    """An object of the same namespace, by name."""

    name: ObjectName = Field(description="Name of the object, in this resource's namespace.")


class EnvFromSource(Model):
    """A Secret or ConfigMap of which every key becomes an environment variable."""

    model_config = {"json_schema_extra": rules(exactly_one("secretRef", "configMapRef"))}

    secret_ref: LocalRef | None = Field(None, description="A Secret. The kubelet reads it, never the operator.")
    config_map_ref: LocalRef | None = Field(None, description="A ConfigMap.")


Resources = Annotated[dict[str, Quantity], Field(max_length=16)]


class ResourceRequirements(Model):
    """What a container asks of a node, as in a pod: CPU, memory, and extended resources such as GPUs."""

    requests: Resources | None = Field(None, description="What is set aside, such as {cpu: 500m, memory: 1Gi}.")
    limits: Resources | None = Field(
        None, description="What may be used at most, such as {memory: 2Gi, nvidia.com/gpu: 1}."
    )


class Toleration(Model):
    """Lets pods run on nodes with a matching taint, such as a pool of GPU nodes."""

    # What the API server would refuse in a pod is refused here, where the user sees it.
    model_config = {
        "json_schema_extra": rules(
            Rule(
                rule="has(self.key) || has(self.operator) && self.operator == 'Exists'",
                message="without a key, operator must be Exists",
            ),
            Rule(
                rule="!(has(self.operator) && self.operator == 'Exists' && has(self.value))",
                message="operator Exists takes no value",
            ),
            Rule(
                rule="!has(self.tolerationSeconds) || has(self.effect) && self.effect == 'NoExecute'",
                message="tolerationSeconds goes with effect: NoExecute",
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
        None, ge=0, le=2**31 - 1, description="Seconds to stay on a node after a NoExecute taint came."
    )


class PodOptions(Model):
    """Where and how the pods of a resource run."""

    resources: ResourceRequirements | None = Field(None, description="Requests and limits of the main container.")
    node_selector: Annotated[dict[str, Annotated[str, Field(max_length=63)]], Field(max_length=32)] | None = Field(
        None, description="Labels that a node must have."
    )
    tolerations: Annotated[tuple[Toleration, ...], Field(max_length=32)] | None = Field(
        None, description="Taints that the pods tolerate."
    )
    priority_class_name: ObjectName | None = Field(None, description="PriorityClass of the pods.")
    runtime_class_name: ObjectName | None = Field(None, description="RuntimeClass of the pods, such as nvidia.")
    image_pull_secrets: Annotated[tuple[LocalRef, ...], Field(max_length=8)] | None = Field(
        None, description="Secrets with registry credentials, in this resource's namespace."
    )


class Workspace(Model):
    """The scratch volume under /perennial."""

    size_limit: Quantity | None = Field(
        None, description="Most bytes that the volume may hold, such as 20Gi. Unset: the node's own limit."
    )
    medium: Literal["Memory"] | None = Field(
        None,
        description="Memory keeps the volume in RAM, counted against the memory limit. Unset: the node's disk.",
    )


class Storage(Model):
    """How pods reach S3-compatible storage. Credentials stay in a Secret that only the pods see."""

    endpoint: Annotated[str, Field(max_length=512, pattern=r"^https?://[^\s/]+$")] | None = Field(
        None, description="URL of the service, such as https://s3.example.com:9000. Unset: AWS."
    )
    region: Annotated[str, Field(max_length=64)] | None = Field(None, description="Region name. Unset: us-east-1.")
    secret_name: ObjectName | None = Field(
        None,
        description="Secret with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_SESSION_TOKEN if needed). "
        "Unset: the pod's own identity.",
    )
    ca_config_map: ObjectName | None = Field(
        None,
        description="ConfigMap whose key ca.crt holds the PEM certificates that sign the endpoint's certificate.",
    )
    addressing: Literal["path", "virtual", "auto"] = Field(
        "auto", description="Bucket in the path, in the host name, or as the client library decides."
    )


Env = Annotated[tuple[EnvVar, ...], Field(max_length=64, json_schema_extra=list_map("name"))]
EnvFrom = Annotated[tuple[EnvFromSource, ...], Field(max_length=16)]
PullPolicy = Literal["Always", "IfNotPresent", "Never"]
Image = Annotated[str, Field(min_length=1, max_length=512, pattern=r"^[^\s]+$")]


class Input(Model):
    """Data that is pulled before the main container starts."""

    name: Name = Field(description="Folder name under /perennial/inputs.")
    uri: S3Uri = Field(
        description="An object, or a prefix that ends in a slash. s3://data/a/ never pulls s3://data/a-b/."
    )


class Source(Model):
    """Where the code of the image comes from. Recorded for lineage, never fetched."""

    repository: ShortText | None = Field(None, description="URL of the repository.")
    commit: Annotated[str, Field(max_length=64)] | None = Field(
        None, description="Commit that the image was built from."
    )


def shared_env_name(parameter: str) -> str:
    """Return the environment variable of a parameter: `max_depth` becomes `PERENNIAL_PARAM_MAX_DEPTH`."""
    return f"PERENNIAL_PARAM_{parameter.upper()}"


class Parameters(Model):
    """Named values handed to the code; kept apart so that the check of their names has one home."""

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
