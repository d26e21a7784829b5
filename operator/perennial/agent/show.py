"""`perennial agent show`: writes one object to standard output, from where `kubectl logs` brings it to a person."""

import base64
import gzip
from textwrap import wrap
from typing import TextIO

from perennial.agent.storage.client import ObjectStore
from perennial.api.contract.commands import ShowConfig
from perennial.api.contract.messages import SHOWN_PREFIX

LIMIT = 32 * 2**20
"""Largest object in bytes. A kubelet rotates logs of more than 10 MiB, which compressed reports stay far below."""
_WIDTH = 4096


def show(config: ShowConfig, store: ObjectStore, out: TextIO) -> None:
    """Write the object.

    Raises:
        AgentError: as in `core.failures`.
    """
    write_shown(store.get_bytes(config.uri, LIMIT), out)


def write_shown(content: bytes, out: TextIO) -> None:
    """Write bytes as gzip in base64; each line begins with a prefix that log lines do not have."""
    data = gzip.compress(content, mtime=0)
    out.writelines(f"{SHOWN_PREFIX}{line}\n" for line in wrap(base64.b64encode(data).decode(), _WIDTH))
    out.write(f"{SHOWN_PREFIX}\n")
