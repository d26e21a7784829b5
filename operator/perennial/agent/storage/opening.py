"""Opens the configured storage with credentials from the environment."""

import os
import ssl

import boto3
from botocore.config import Config

from perennial.agent.storage.client import CONNECTIONS, ObjectStore
from perennial.agent.storage.errors import AgentError
from perennial.agent.storage.presigned import PresignedReader
from perennial.api.common.pod import Storage
from perennial.core.failures import CONFIG_INVALID, TLS_FAILED


def open_storage(storage: Storage) -> ObjectStore:
    """Open the configured storage with credentials from the environment.

    Raises:
        AgentError: the CA certificates cannot be read, or the configuration is invalid.
    """
    authority = _authority()
    style = {} if storage.addressing == "auto" else {"addressing_style": storage.addressing}
    try:
        # A new session, since the default one caches the first credentials it finds.
        client = boto3.Session().client(
            "s3",
            endpoint_url=storage.endpoint,
            region_name=storage.region or os.environ.get("AWS_REGION") or "us-east-1",
            verify=authority,
            config=Config(
                signature_version="s3v4",
                max_pool_connections=CONNECTIONS,
                connect_timeout=10,
                read_timeout=30,
                retries={"mode": "standard", "total_max_attempts": 3},
                s3=style,
                # Many S3-compatible servers lack the newer checksums; the agent verifies sha256 itself.
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )
    except ValueError as error:
        raise AgentError(
            CONFIG_INVALID, f"invalid storage configuration for {storage.endpoint or 'AWS'}: {error}"
        ) from error
    return ObjectStore(client, PresignedReader(client, authority, CONNECTIONS), storage.encryption)


def _authority() -> str | None:
    """Return the path of the CA certificates, if set, after checking that they can be loaded."""
    path = os.environ.get("AWS_CA_BUNDLE")
    if not path:
        return None
    try:
        ssl.create_default_context(cafile=path)
    except OSError as error:  # includes ssl.SSLError for invalid certificates
        raise AgentError(
            TLS_FAILED, f"storage.caConfigMap has no valid certificates under the key ca.crt ({path}: {error})"
        ) from error
    return path
