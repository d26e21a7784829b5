"""Table of the agent's failures: exit code, condition reason, whether to retry, next step.

`perennial agent` exits with these codes, the operator maps them to conditions, `generate.reference` documents them.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class AgentFailure:
    """One kind of failure of the agent."""

    code: int
    reason: str
    retriable: bool
    next_step: str


CONFIG_INVALID = AgentFailure(
    64,
    "AgentConfigInvalid",
    False,
    "operator and agent do not match: check that both run the same release",
)
ACCESS_DENIED = AgentFailure(
    65, "ArtifactAccessDenied", False, "check the keys in storage.secretName and the bucket's policy"
)
BUCKET_NOT_FOUND = AgentFailure(66, "BucketNotFound", False, "create the bucket or correct the URI")
OBJECT_NOT_FOUND = AgentFailure(
    67, "ObjectNotFound", False, "upload the object or correct the URI; a prefix must end in a slash"
)
DIGEST_MISMATCH = AgentFailure(
    68,
    "DigestMismatch",
    False,
    "the stored files differ from the published ones: publish again, and find out who changed them",
)
MANIFEST_INVALID = AgentFailure(
    69,
    "ManifestInvalid",
    False,
    "there is no version published by Perennial at the URI: correct it or publish again",
)
ENDPOINT_UNREACHABLE = AgentFailure(70, "EndpointUnreachable", True, "check storage.endpoint, DNS and network policies")
OUT_OF_SPACE = AgentFailure(71, "OutOfSpace", False, "raise workspace.sizeLimit, or free disk space on the node")
UNSAFE_PATH = AgentFailure(
    72, "UnsafePath", False, "the name of an object points outside of its folder: rename or remove the object"
)
DATA_INVALID = AgentFailure(
    73,
    "DataInvalid",
    False,
    "correct or remove what the message names",
)
TRANSFER_FAILED = AgentFailure(74, "TransferFailed", True, "the storage closed the connection; it is retried")
TLS_FAILED = AgentFailure(
    75,
    "TLSFailed",
    False,
    "the endpoint's certificate is not trusted: set storage.caConfigMap, or correct http/https",
)
INTERRUPTED = AgentFailure(76, "Interrupted", True, "the pod was stopped before the agent had finished; it is retried")
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
    "publish the model in a format that contains only data (ONNX, safetensors, the library's own), or, if you trust "
    "everyone who can write it, set spec.model.allowPickle: true",
)
MODEL_UNREACHABLE = AgentFailure(
    82,
    "ModelUnreachable",
    True,
    "check that the pods of the revision are ready, and that network policies let the pods of gates reach them",
)
SIGNATURE_MISSING = AgentFailure(
    83,
    "SignatureMissing",
    False,
    "publish the model with spec.output.sign of its TrainingJob, or sign the version's files with model_signing and "
    "upload model.sig beside manifest.json",
)
SIGNATURE_INVALID = AgentFailure(
    84,
    "SignatureInvalid",
    False,
    "find out who changed or signed the model; then publish it again, or correct spec.model.verify.publicKey",
)
SIGNING_KEY_INVALID = AgentFailure(
    85,
    "SigningKeyInvalid",
    False,
    "give an elliptic-curve key (P-256, P-384 or P-521) in PEM, without a password",
)
AUDIT_BROKEN = AgentFailure(
    86,
    "AuditLogBroken",
    False,
    "find out who can write the bucket and what was changed (perennial agent audit verify); restore the objects from "
    "their versions or a copy, or keep them as they are and begin a new log at another URI",
)
AUDIT_STORAGE_UNFIT = AgentFailure(
    87,
    "AuditStorageUnfit",
    False,
    "use storage that obeys If-Match and If-None-Match and, for a lock, a bucket with Object Lock",
)
REFERENCE_CHANGED = AgentFailure(
    88,
    "ReferenceChanged",
    False,
    "find out who changed the files and restore them; or, to compare with what is there now, set "
    "spec.reference.digest to the digest that the message names",
)
HASH_KEY_INVALID = AgentFailure(
    89,
    "HashKeyInvalid",
    False,
    "store a key of at least 16 bytes in the Secret, such as 32 random bytes in hexadecimal digits",
)
UNEXPECTED = AgentFailure(77, "AgentCrashed", True, "see the agent's log, and report a bug")

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
    MODEL_UNREACHABLE,
    SIGNATURE_MISSING,
    SIGNATURE_INVALID,
    SIGNING_KEY_INVALID,
    AUDIT_BROKEN,
    AUDIT_STORAGE_UNFIT,
    REFERENCE_CHANGED,
    HASH_KEY_INVALID,
)


def by_code(code: int) -> AgentFailure | None:
    """Find the failure of an exit code; None if it is not one of the agent's."""
    return next((failure for failure in TABLE if failure.code == code), None)


def by_reason(reason: str) -> AgentFailure | None:
    """Find the failure of a reason; None if it is not one of the agent's."""
    return next((failure for failure in TABLE if failure.reason == reason), None)
