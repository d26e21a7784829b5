"""Rejects models that the runtime cannot load, and pickles, before the server starts.

Loaders choose by file name and first bytes, so the same is checked here. This prevents loading a pickle by accident;
it does not sandbox runtimes that load code by design.
"""

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from perennial.agent.storage.errors import AgentError
from perennial.api.contract.commands import ModelRules
from perennial.api.modeldeployment.runtime import ModelFormat
from perennial.core.failures import FORMAT_REFUSED, PICKLE_REFUSED

_PICKLE_SUFFIXES = frozenset({".pkl", ".pickle", ".joblib", ".dill", ".cloudpickle", ".pt", ".pth", ".ckpt"})
_PICKLE_START = b"\x80"
_PICKLE_PROTOCOLS = frozenset({2, 3, 4, 5})
"""Second byte of a pickle. Older protocols are text and recognised by file name only."""
_ZIP_START = b"PK\x03\x04"
_DATA_ONLY = frozenset({".safetensors"})
"""These files start with a length, which may equal the first bytes of a pickle."""
_NAMED = 5


def check_names(config: ModelRules, paths: Iterable[str]) -> None:
    """Reject a model by its file names, before anything is downloaded.

    Raises:
        AgentError: ModelFormatRefused, PickleRefused.
    """
    names = tuple(paths)
    accepted = config.formats or ()
    found = tuple(item for item in accepted if any(_matches(item, name) for name in names))
    if accepted and not found:
        wanted = "; ".join(f"{item.name} ({', '.join(item.files)})" for item in accepted)
        raise AgentError(
            FORMAT_REFUSED, f"runtime {config.runtime} loads {wanted}; the model contains {_listed(names)}"
        )
    if config.allow_pickle:
        return
    pickles = tuple(name for name in names if PurePosixPath(name).suffix.lower() in _PICKLE_SUFFIXES)
    if pickles:
        raise AgentError(PICKLE_REFUSED, f"{_listed(pickles)}: loading a pickle runs any code in it")
    coded = next((item for item in found if item.runs_code), None)
    if coded is not None:
        raise AgentError(PICKLE_REFUSED, f"loading a model of format {coded.name} runs code from the model")


def check_contents(config: ModelRules, places: Mapping[str, Path]) -> None:
    """Reject pickles with other file names, by their first bytes.

    Raises:
        AgentError: PickleRefused.
    """
    if config.allow_pickle:
        return
    pickles = tuple(name for name, place in places.items() if _holds_pickle(place))
    if pickles:
        raise AgentError(PICKLE_REFUSED, f"{_listed(pickles)}: contains a pickle, and loading one runs any code in it")


def _matches(item: ModelFormat, name: str) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in item.files)


def _holds_pickle(place: Path) -> bool:
    suffix = place.suffix.lower()
    if suffix in _DATA_ONLY:
        return False
    with place.open("rb") as file:
        start = file.read(len(_ZIP_START))
    if start[:1] == _PICKLE_START and len(start) > 1:
        return start[1] in _PICKLE_PROTOCOLS
    # torch.save writes a zip archive that contains a pickle.
    return suffix == ".bin" and start == _ZIP_START


def _listed(names: tuple[str, ...]) -> str:
    shown = ", ".join(name[:100] for name in names[:_NAMED])
    more = len(names) - _NAMED
    return f"{shown} and {more} more" if more > 0 else shown or "no files"
