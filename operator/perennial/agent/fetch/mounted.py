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
        AgentError: ModelFormatRefused, PickleRefused; DataInvalid for more than 100,000 files, or for links that
            cannot be checked.
    """
    root = Path(config.directory)
    if not config.allow_pickle:
        _check_links(root)
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


def _check_links(root: Path) -> None:
    """Refuse links to folders, which are not searched, and links that resolve differently in the server's container."""
    inside = os.path.realpath(root)
    for folder, folders, names in os.walk(root, onerror=_fail):
        for path in (Path(folder, name) for name in (*folders, *names)):
            if not path.is_symlink():
                continue
            target = os.path.realpath(path)
            if path.readlink().is_absolute() or not Path(target).is_relative_to(inside) or not Path(target).is_file():
                raise AgentError(
                    DATA_INVALID,
                    f"{path.relative_to(root).as_posix()[:200]!r} in the model's image is a link to a folder, to a "
                    "missing file or out of the model: copy the files into the image instead",
                )


def _fail(error: OSError) -> None:
    raise AgentError(DATA_INVALID, f"the model's image cannot be read: {error}") from error
