"""Which models are refused before they are loaded: those that the runtime cannot load, and those that run code.

What a loader does with a file is decided by its name and its first bytes, so that is what is looked at. This keeps
pickles from being loaded unasked; it makes no runtime safe that loads code on purpose.
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
"""The second byte of a pickle; older protocols are text, and known by their names alone."""
_ZIP_START = b"PK\x03\x04"
_DATA_ONLY = frozenset({".safetensors"})
"""Starts with a length, which may look like a pickle's first bytes."""
_NAMED = 5


def check_names(config: ModelRules, paths: Iterable[str]) -> None:
    """Refuse a model by the names of its files, before anything is downloaded.

    Raises:
        AgentError: ModelFormatRefused, PickleRefused.
    """
    names = tuple(paths)
    accepted = config.formats or ()
    found = tuple(item for item in accepted if any(_matches(item, name) for name in names))
    if accepted and not found:
        wanted = "; ".join(f"{item.name} ({', '.join(item.files)})" for item in accepted)
        raise AgentError(FORMAT_REFUSED, f"runtime {config.runtime} loads {wanted}; the model holds {_listed(names)}")
    if config.allow_pickle:
        return
    pickles = tuple(name for name in names if PurePosixPath(name).suffix.lower() in _PICKLE_SUFFIXES)
    if pickles:
        raise AgentError(PICKLE_REFUSED, f"{_listed(pickles)}: loading a pickle runs whatever code it holds")
    coded = next((item for item in found if item.runs_code), None)
    if coded is not None:
        said = f"the model is of the format {coded.name}, and loading it runs code that it brings along"
        raise AgentError(PICKLE_REFUSED, said)


def check_contents(config: ModelRules, places: Mapping[str, Path]) -> None:
    """Refuse pickles that go by another name, before the server starts.

    Raises:
        AgentError: PickleRefused.
    """
    if config.allow_pickle:
        return
    pickles = tuple(name for name, place in places.items() if _holds_pickle(place))
    if pickles:
        raise AgentError(
            PICKLE_REFUSED, f"{_listed(pickles)}: holds a pickle, and loading one runs whatever code it holds"
        )


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
    # What torch.save writes is a zip archive with a pickle in it.
    return suffix == ".bin" and start == _ZIP_START


def _listed(names: tuple[str, ...]) -> str:
    shown = ", ".join(name[:100] for name in names[:_NAMED])
    more = len(names) - _NAMED
    return f"{shown} and {more} more" if more > 0 else shown or "no files"
