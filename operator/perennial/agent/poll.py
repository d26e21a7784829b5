"""`perennial agent poll`: say what lies at the inputs by listing them. Nothing is read, so it costs next to nothing."""

import hashlib
import logging

from perennial.agent.storage.client import ObjectStore
from perennial.api.contract.commands import PollConfig
from perennial.api.contract.messages import Polled

log = logging.getLogger(__name__)


def poll(config: PollConfig, store: ObjectStore) -> Polled:
    """Return a digest over the URIs, names, sizes and ETags of all inputs' objects, and how much they are.

    ETags stand for content: a file that was written again with the same bytes keeps its own with most storages.

    Raises:
        AgentError: as `core.failures` tells. An empty prefix is no failure.
    """
    digest, files, size = hashlib.sha256(), 0, 0
    for item in config.inputs:
        digest.update(f"{item.uri}\0".encode())
        for found in store.list(item.uri):
            digest.update(f"{found.relative}\0{found.size}\0{found.etag}\0".encode())
            files += 1
            size += found.size
    log.info("the inputs hold %d files, %d bytes", files, size)
    return Polled(digest=f"sha256:{digest.hexdigest()}", files=files, bytes=size)
