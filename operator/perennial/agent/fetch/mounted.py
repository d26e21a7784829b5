"""`perennial agent fetch` where there is nothing to fetch: the node has mounted the model, and it is only looked at."""

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from perennial.agent.fetch.formats import check_contents, check_names
from perennial.agent.storage.errors import AgentError
from perennial.api.contract.commands import CheckModel
from perennial.api.contract.messages import Fetched
from perennial.core.failures import DATA_INVALID

MOST_FILES = 100_000


def check_model(config: CheckModel) -> Fetched:
    """Hold the files of a mounted model to the same rules as one that is fetched.

    Raises:
        AgentError: ModelFormatRefused, PickleRefused; DataInvalid for more files than a model can have.
    """
    root = Path(config.directory)
    files = list(islice(_files(root), MOST_FILES + 1))
    if len(files) > MOST_FILES:
        raise AgentError(DATA_INVALID, f"the model's image holds more than {MOST_FILES} files")
    places = {path.relative_to(root).as_posix(): path for path in files}
    check_names(config, places)
    check_contents(config, places)
    return Fetched()


def _files(root: Path) -> Iterator[Path]:
    """Yield what a server could open; pipes and devices would hold up whoever reads them."""
    for folder, _, names in os.walk(root, onerror=_fail):
        yield from (path for name in names if (path := Path(folder, name)).is_file())


def _fail(error: OSError) -> None:
    raise AgentError(DATA_INVALID, f"the model's image cannot be read: {error}") from error
