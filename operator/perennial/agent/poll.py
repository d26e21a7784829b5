"""`perennial agent poll`: lists the inputs without reading them, and reports a digest of the listing."""

import logging

from perennial.agent.storage.client import ObjectStore
from perennial.agent.storage.listing import ListingDigest
from perennial.api.contract.commands import PollConfig
from perennial.api.contract.messages import Polled

log = logging.getLogger(__name__)


def poll(config: PollConfig, store: ObjectStore) -> Polled:
    """List all inputs; return the digest of the listing, the number of objects and their total size.

    Raises:
        AgentError: as in `core.failures`. An empty prefix is not a failure.
    """
    digest, files, size = ListingDigest(), 0, 0
    for item in config.inputs:
        listed = list(store.list(item.uri))
        digest.add(item.uri, listed)
        files += len(listed)
        size += sum(found.size for found in listed)
    log.info("the inputs hold %d files, %d bytes", files, size)
    return Polled(digest=str(digest), files=files, bytes=size)
