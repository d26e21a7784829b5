"""The one table of the agent's failures: exit code, condition reason, whether to try again, the next step.

`perennial agent` ends with these codes, the operator turns them into conditions, `generate.reference` into docs.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class AgentFailure:
    """One way in which an agent can fail."""

    code: int
    reason: str
    retriable: bool
    next_step: str


CONFIG_INVALID = AgentFailure(
    64,
    "AgentConfigInvalid",
    False,
    "this is a bug between operator and agent: check that both run the same release",
)
ACCESS_DENIED = AgentFailure(
    65, "ArtifactAccessDenied", False, "check the keys in storage.secretName and the bucket's policy"
)
BUCKET_NOT_FOUND = AgentFailure(66, "BucketNotFound", False, "create the bucket or correct the URI")
OBJECT_NOT_FOUND = AgentFailure(
    67, "ObjectNotFound", False, "upload the object or correct the URI; a prefix ends in a slash"
)
DIGEST_MISMATCH = AgentFailure(
    68,
    "DigestMismatch",
    False,
    "the stored files are not those that were published: publish again, and find out who changed them",
)
MANIFEST_INVALID = AgentFailure(
    69,
    "ManifestInvalid",
    False,
    "the URI does not hold a version published by Perennial: correct it or publish again",
)
ENDPOINT_UNREACHABLE = AgentFailure(70, "EndpointUnreachable", True, "check storage.endpoint, DNS and network policies")
OUT_OF_SPACE = AgentFailure(71, "OutOfSpace", False, "raise workspace.sizeLimit or free the node's disk")
UNSAFE_PATH = AgentFailure(
    72, "UnsafePath", False, "an object's name would leave its folder: rename or remove the object"
)
DATA_INVALID = AgentFailure(
    73,
    "DataInvalid",
    False,
    "correct or remove what the message names; the message says what is wrong with it",
)
TRANSFER_FAILED = AgentFailure(74, "TransferFailed", True, "the storage broke off; it is tried again")
TLS_FAILED = AgentFailure(
    75,
    "TLSFailed",
    False,
    "the endpoint's certificate is not trusted: set storage.caConfigMap, or correct http/https",
)
INTERRUPTED = AgentFailure(76, "Interrupted", True, "the pod was stopped before the agent had ended; it is tried again")
FORMAT_REFUSED = AgentFailure(
    80,
    "ModelFormatRefused",
    False,
    "choose a runtime that loads this format, or publish the model in a format that the runtime loads",
)
PICKLE_REFUSED = AgentFailure(
    81,
    "PickleRefused",
    False,
    "publish the model in a format that holds data only (ONNX, safetensors, the library's own), or, if you trust "
    "everyone who can write it, set spec.model.allowPickle: true",
)
UNEXPECTED = AgentFailure(77, "AgentCrashed", True, "see the agent's log, and report it as a bug")

TABLE: tuple[AgentFailure, ...] = (
    CONFIG_INVALID,
    ACCESS_DENIED,
    BUCKET_NOT_FOUND,
    OBJECT_NOT_FOUND,
    DIGEST_MISMATCH,
    MANIFEST_INVALID,
    ENDPOINT_UNREACHABLE,
    OUT_OF_SPACE,
    UNSAFE_PATH,
    DATA_INVALID,
    TRANSFER_FAILED,
    TLS_FAILED,
    INTERRUPTED,
    UNEXPECTED,
    FORMAT_REFUSED,
    PICKLE_REFUSED,
)


def by_code(code: int) -> AgentFailure | None:
    """Return the failure of an exit code, or None if the code is not one of ours."""
    return next((failure for failure in TABLE if failure.code == code), None)


def by_reason(reason: str) -> AgentFailure | None:
    """Return the failure of a reason, or None if the reason is not one of ours."""
    return next((failure for failure in TABLE if failure.reason == reason), None)
