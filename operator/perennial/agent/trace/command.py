"""`perennial agent trace`: search, read the manifest and the reports, write one JSON document to standard output."""

import logging
import tempfile
from pathlib import Path
from typing import TextIO

from perennial.agent.shown import write_shown
from perennial.agent.storage.errors import classify
from perennial.agent.tables.files import Store
from perennial.agent.trace.search import find_request
from perennial.agent.trace.verdicts import verdicts_around
from perennial.agent.trace.version import version_of
from perennial.api.contract.trace import TraceConfig, Traced

log = logging.getLogger(__name__)


def run(config: TraceConfig, store: Store, out: TextIO) -> None:
    """Write what storage holds about one prediction, in the form of `perennial agent show`.

    Raises:
        AgentError: as in `core.failures`.
    """
    write_shown(trace(config, store).model_dump_json(by_alias=True, exclude_none=True).encode(), out)


def trace(config: TraceConfig, store: Store) -> Traced:
    """Return what storage holds about one prediction. That it is not found is an answer, not an error.

    Raises:
        AgentError: the captured files cannot be listed or read.
    """
    scratch = Path(config.scratch)
    try:
        scratch.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="trace-", dir=scratch) as folder:
            found = find_request(config, store, Path(folder))
    except OSError as error:  # a full disk, most likely
        raise classify(error, str(scratch)) from error
    log.info(
        "searched %d files with %d requests: %s", found.searched.files, found.searched.records, found.searched.ended
    )
    if found.request is None:
        return Traced(searched=found.searched)
    version = version_of(found.request.digest, config.versions, config.outputs, store)
    reports = [verdicts_around(found.request, uri, store) for uri in dict.fromkeys(config.reports)]
    return Traced(
        searched=found.searched,
        request=found.request,
        others=found.others,
        version=None if isinstance(version, str) else version,
        version_problem=version if isinstance(version, str) else None,
        verdicts=tuple(verdict for part in reports for verdict in part.found),
        reports_problem=tuple(problem for part in reports for problem in part.problems),
    )
