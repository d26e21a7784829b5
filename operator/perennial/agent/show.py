"""`perennial agent show`: writes one object to standard output, from where `kubectl logs` brings it to a person."""

from typing import TextIO

from perennial.agent.shown import write_shown
from perennial.agent.storage.client import ObjectStore
from perennial.api.contract.commands import ShowConfig

LIMIT = 32 * 2**20
"""Largest object in bytes. A kubelet rotates logs of more than 10 MiB, which compressed reports stay far below."""


def show(config: ShowConfig, store: ObjectStore, out: TextIO) -> None:
    """Write the object.

    Raises:
        AgentError: as in `core.failures`.
    """
    write_shown(store.get_bytes(config.uri, LIMIT), out)
