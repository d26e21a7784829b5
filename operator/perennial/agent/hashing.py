"""Replaces values by a keyed hash: equal values stay equal, and nobody without the key can try values out.

The capture sidecar and the comparisons use the same functions, so that a value has the same hash on both sides. A hash
names its key by a short fingerprint, so that values which were hashed with another key are noticed, not compared.
"""

import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from perennial.agent.storage.errors import AgentError
from perennial.agent.tables.scalars import scalar_text
from perennial.api.common.pod import KeyRef
from perennial.api.contract.commands import HASH_KEY_VARIABLE
from perennial.core.failures import HASH_KEY_INVALID

PREFIX = "hmac:"
HASH = f"{PREFIX}([0-9a-f]{{6}}):[0-9a-f]{{16}}"
"""Form of a hash, as a pattern. The group is the fingerprint of its key."""
LEAST_KEY = 16
"""Shortest key, in bytes."""
_DIGITS, _KEY_DIGITS = 16, 6
_WHOLE = re.compile(HASH)
_KEY_NAME = b"perennial: name of this key"


@dataclass(frozen=True)
class KeyedHash:
    """Hash of texts by HMAC-SHA-256, of which 64 bits are kept.

    Among a million values, two have the same hash by chance with a probability of 1 in 37 million.

    Attributes:
        key: at least LEAST_KEY bytes; never shown.
    """

    key: bytes = field(repr=False)

    @cached_property
    def fingerprint(self) -> str:
        """Name of the key: 24 bits of a hash by it."""
        return hmac.digest(self.key, _KEY_NAME, "sha256").hex()[:_KEY_DIGITS]

    def of(self, text: str) -> str:
        """Return the hash of a text, whatever it is."""
        digest = hmac.digest(self.key, text.encode("utf-8", "replace"), "sha256").hex()[:_DIGITS]
        return f"{PREFIX}{self.fingerprint}:{digest}"

    def of_scalar(self, value: float | bool | str | None) -> str | None:
        """Return the hash of a JSON scalar by its category (1 and 1.0 are one); None stays None."""
        text = scalar_text(value)
        return None if text is None else self.of(text)

    def once(self, text: str) -> str:
        """Return the hash of a text; a hash by any key stays as it is."""
        return text if key_named_by(text) is not None else self.of(text)


def key_named_by(text: str) -> str | None:
    """Return the fingerprint of the key in a hash; None if the text is none."""
    found = _WHOLE.fullmatch(text)
    return found.group(1) if found else None


def keyed_hash(source: KeyRef, field_name: str, environment: Mapping[str, str]) -> KeyedHash:
    """Read the key of the hash from the pod's environment.

    Args:
        source: key of the Secret, for the message.
        field_name: field of the resource that names it, for the message.
        environment: holds the key.

    Raises:
        AgentError: HashKeyInvalid, if the key is missing or too short.
    """
    key = environment.get(HASH_KEY_VARIABLE, "").encode("utf-8", "surrogateescape")
    if len(key) < LEAST_KEY:
        raise AgentError(
            HASH_KEY_INVALID,
            f"key {source.key} of Secret {source.name} ({field_name}) has {len(key)} bytes, which is too short",
        )
    return KeyedHash(key)
