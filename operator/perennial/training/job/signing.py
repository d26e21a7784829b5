"""The private key that signs versions: a volume that only the publishing container mounts."""

from typing import Any

from perennial.api.contract.commands import SIGNING_PATH, SigningKey
from perennial.api.trainingjob.resource import Output

_VOLUME = "signing-key"
_FILE = "key.pem"
_GROUP_READS = 0o440
"""The agent runs as the user of the code, which need not own the file; the volume's group is the pod's."""


def signing_key(output: Output) -> SigningKey | None:
    """Tell the publisher where the key is mounted."""
    if output.sign is None:
        return None
    source = output.sign.key_secret
    return SigningKey(file=f"{SIGNING_PATH}/{_FILE}", secret=source.name, key=source.key)


def signing_mounts(output: Output) -> list[dict[str, Any]]:
    """Build the mount for the publishing container."""
    return [{"name": _VOLUME, "mountPath": SIGNING_PATH, "readOnly": True}] if output.sign is not None else []


def signing_volumes(output: Output | None) -> list[dict[str, Any]]:
    """Build the volume with that one key of the Secret."""
    if output is None or output.sign is None:
        return []
    source = output.sign.key_secret
    secret = {
        "secretName": source.name,
        "items": [{"key": source.key, "path": _FILE}],
        "defaultMode": _GROUP_READS,
        # The publisher says what is missing and ends before the training starts; without this, the pod would wait in
        # silence.
        "optional": True,
    }
    return [{"name": _VOLUME, "secret": secret}]
