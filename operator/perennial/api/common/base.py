"""The base of all models: field types, CEL rules and object metadata.

Every module of `api` builds on this one; `generate.crd` reads the extra schema keys set here.
"""

from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel

GROUP = "perennial.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"


class Model(BaseModel):
    """A frozen model whose JSON names are camelCase.

    Unknown fields are ignored: the API server prunes or rejects them before the operator sees an object,
    and a newer writer must not break an older reader.
    """

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True, extra="ignore")

    def dump(self) -> dict[str, Any]:
        """JSON form: camelCase names, without unset fields."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


ModelT = TypeVar("ModelT", bound=type[Model])


class Rule(Model):
    """A CEL validation rule of a CRD schema node, with its error message."""

    rule: str
    message: str
    field_path: str | None = None


def rules(*items: Rule) -> dict[str, Any]:
    """`json_schema_extra` that adds CEL rules to the schema of a model."""
    return {"x-kubernetes-validations": [item.dump() for item in items]}


def exactly_one(*fields: str) -> Rule:
    """CEL rule of a union: exactly one of the fields must be set."""
    count = " + ".join(f"(has(self.{name}) ? 1 : 0)" for name in fields)
    return Rule(rule=f"{count} == 1", message=f"set exactly one of {', '.join(fields)}")


def list_map(*keys: str) -> dict[str, Any]:
    """`json_schema_extra` of a list whose elements are identified by keys in server-side apply."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(keys)}


def _quantity_text(value: Any) -> Any:
    """Accept `cpu: 1` and `cpu: 0.5` beside `cpu: "1"`, as Kubernetes does."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    # Without an exponent, which the pattern does not allow.
    return str(value) if isinstance(value, int) else f"{value:.9f}".rstrip("0").rstrip(".")


Name = Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
"""A DNS-1123 label: valid as object name, label value and Service name."""

ObjectName = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")]
"""A DNS-1123 subdomain: the name of a Secret, a ConfigMap or a class."""

S3Uri = Annotated[
    str,
    Field(max_length=1024, pattern=r"^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[^\s\\]*)?$"),
]
"""`s3://bucket/prefix`; a bucket name has 3 to 63 characters."""

Digest = Annotated[str, Field(max_length=71, pattern=r"^sha256:[0-9a-f]{64}$")]

_QUANTITY_PATTERN = r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$"

Quantity = Annotated[
    str,
    # The field comes first: what stands behind a validator does not reach the JSON schema.
    Field(max_length=32, pattern=_QUANTITY_PATTERN, json_schema_extra={"x-kubernetes-int-or-string": True}),
    BeforeValidator(_quantity_text),
]
"""A Kubernetes quantity, kept as the user wrote it: GitOps tools would report a canonical form as a difference."""

ResourceQuantity = Annotated[
    str,
    Field(max_length=32, pattern=_QUANTITY_PATTERN, json_schema_extra={"x-kubernetes-preserve-unknown-fields": True}),
    BeforeValidator(_quantity_text),
]
"""A quantity of CPU or memory. int-or-string would refuse `cpu: 0.5`, which every pod accepts.

The API server checks the pattern of text; a value that is neither text nor a number leads to InvalidSpec.
"""

Duration = Annotated[str, Field(max_length=8, pattern=r"^[0-9]{1,6}(s|m|h|d)$")]
"""A whole number with a unit: `30s`, `10m`, `24h`, `7d`."""

Period = Annotated[str, Field(max_length=8, pattern=r"^[1-9][0-9]{0,5}(s|m|h|d)$")]
"""A duration that is not zero."""

Decimal = Annotated[str, Field(max_length=24, pattern=r"^-?[0-9]{1,12}(\.[0-9]{1,10})?$")]
"""A number as text, because floats are not preserved exactly by all Kubernetes clients."""

Timestamp = Annotated[str, Field(max_length=32, json_schema_extra={"format": "date-time"})]
"""RFC 3339, UTC, whole seconds: `2026-01-31T12:00:00Z`."""

Message = Annotated[str, Field(max_length=2048)]
Reason = Annotated[str, Field(max_length=64, pattern=r"^[A-Za-z][A-Za-z0-9]*$")]
Text = Annotated[str, Field(max_length=1024)]
ShortText = Annotated[str, Field(max_length=256)]


class ObjectMeta(Model):
    """The part of an object's metadata that the operator reads."""

    name: str
    namespace: str = "default"
    uid: str = ""
    generation: int = 0
    resource_version: str = ""
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None
    labels: Annotated[dict[str, str], Field(default_factory=dict)]
    annotations: Annotated[dict[str, str], Field(default_factory=dict)]


class Resource(Model):
    """A custom resource: metadata; subclasses add spec and status."""

    metadata: ObjectMeta
