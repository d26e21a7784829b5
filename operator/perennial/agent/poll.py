"""`perennial agent poll`: computes a digest of the inputs' listing, so that changes are found without downloads."""

import hashlib
import logging

from perennial.agent.storage.client import ObjectStore
from perennial.api.contract.commands import PollConfig
from perennial.api.contract.messages import Polled

log = logging.getLogger(__name__)


def poll(config: PollConfig, store: ObjectStore) -> Polled:
    """Return a digest over URIs, names, sizes and ETags of all objects, their number and total size.

    Most storage keeps the ETag of a file that is overwritten with the same content.

    Raises:
        AgentError: as in `core.failures`. An empty prefix is not an error.
    """
    digest, files, size = hashlib.sha256(), 0, 0
    for item in config.inputs:
        digest.update(f"{item.uri}\0".encode())
        for found in store.list(item.uri):
            digest.update(f"{found.relative}\0{found.size}\0{found.etag}\0".encode())
            files += 1
            size += found.size
    log.info("the inputs have %d files, %d bytes", files, size)
    return Polled(digest=f"sha256:{digest.hexdigest()}", files=files, bytes=size)
