"""`perennial agent fetch` for a model in an image volume: nothing is downloaded, the mounted files are checked."""

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from perennial.agent.fetch.formats import check_contents, check_names
from perennial.agent.storage.errors import AgentError
from perennial.api.contract.commands import CheckModel
from perennial.api.contract.messages import Fetched
from perennial.core.failures import DATA_INVALID

MAX_FILES = 100_000


def check_model(config: CheckModel) -> Fetched:
    """Check a mounted model against the same rules as a downloaded one.

    Raises:
        AgentError: ModelFormatRefused, PickleRefused; DataInvalid for more than 100,000 files.
    """
    root = Path(config.directory)
    files = list(islice(_files(root), MAX_FILES + 1))
    if len(files) > MAX_FILES:
        raise AgentError(DATA_INVALID, f"the model's image contains more than {MAX_FILES} files")
    places = {path.relative_to(root).as_posix(): path for path in files}
    check_names(config, places)
    check_contents(config, places)
    return Fetched()


def _files(root: Path) -> Iterator[Path]:
    """Yield regular files. Pipes and devices are skipped, since reading them may block."""
    for folder, _, names in os.walk(root, onerror=_fail):
        yield from (path for name in names if (path := Path(folder, name)).is_file())


def _fail(error: OSError) -> None:
    raise AgentError(DATA_INVALID, f"the model's image cannot be read: {error}") from error
