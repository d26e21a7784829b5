"""Rejects models that the runtime cannot load, and models that run code, before the server starts.

For a runtime with declared formats, the rule is an allow-list of every file: the files of a format, its data files, and
common files that hold only data. For other runtimes, whose loader is unknown, names and first bytes of code and pickles
are rejected. This prevents loading code by accident; it does not sandbox runtimes that load code by design.
"""

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from zipfile import BadZipFile, ZipFile

from perennial.agent.artifact.manifest import SIGNATURE
from perennial.agent.fetch import triton
from perennial.agent.storage.errors import AgentError
from perennial.api.contract.commands import ModelRules
from perennial.api.modeldeployment.runtime import ModelFormat
from perennial.core.failures import FORMAT_REFUSED, PICKLE_REFUSED

_PICKLE_SUFFIXES = frozenset(
    {".pkl", ".pickle", ".pk", ".p", ".joblib", ".dill", ".cloudpickle", ".pt", ".pth", ".ckpt"}
)
_CODE_SUFFIXES = frozenset(
    {".py", ".pyc", ".pyd", ".pyx", ".ipynb", ".so", ".dll", ".dylib", ".sh", ".exe", ".jar", ".class", ".whl", ".egg"}
)
_COMMON = ("metrics.json", "*.md", "*.txt", "*.csv", "*.tsv", "*.parquet", "*.png", "*.jpg", "*.svg", "*.pdf", "*.html")
"""Files that no loader runs, compared in lower case."""
_COMMON_NAMES = frozenset({"license", "notice", ".gitattributes", SIGNATURE})
_ELF_START = b"\x7fELF"
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
    pickles = tuple(name for name in names if _has_suffix(name, _PICKLE_SUFFIXES))
    if pickles:
        raise AgentError(PICKLE_REFUSED, f"{_listed(pickles)}: loading a pickle runs any code in it")
    coded = next((item for item in found if item.runs_code), None)
    if coded is not None:
        raise AgentError(PICKLE_REFUSED, f"loading a model of format {coded.name} runs code from the model")
    code = tuple(name for name in names if _has_suffix(name, _CODE_SUFFIXES))
    if code:
        raise AgentError(PICKLE_REFUSED, f"{_listed(code)}: the model contains code that a server may run")
    if not accepted:
        return
    others = tuple(name for name in names if not _is_common(name) and not any(_belongs(item, name) for item in found))
    if others:
        raise AgentError(
            PICKLE_REFUSED,
            f"{_listed(others)}: not a file of format {' or '.join(item.name for item in found)}, so it may run code; "
            "leave it out of the output, or list it under formats[].data of the runtime",
        )


def check_contents(config: ModelRules, places: Mapping[str, Path]) -> None:
    """Reject pickles and shared libraries with other file names by their first bytes, and a config that loads code.

    Raises:
        AgentError: PickleRefused.
    """
    if config.allow_pickle:
        return
    pickles = tuple(name for name, place in places.items() if _holds_pickle(place))
    if pickles:
        raise AgentError(PICKLE_REFUSED, f"{_listed(pickles)}: contains a pickle, and loading one runs any code in it")
    libraries = tuple(name for name, place in places.items() if _start(place) == _ELF_START)
    if libraries:
        raise AgentError(PICKLE_REFUSED, f"{_listed(libraries)}: contains machine code")
    for name, place in places.items():
        wrong = _triton_refusal(place) if config.formats and PurePosixPath(name).name == triton.CONFIG else None
        if wrong:
            raise AgentError(PICKLE_REFUSED, f"{name[:200]}: {wrong}")


def _triton_refusal(place: Path) -> str | None:
    with place.open("rb") as file:
        data = file.read(triton.CONFIG_LIMIT + 1)
    if len(data) > triton.CONFIG_LIMIT:
        return f"larger than {triton.CONFIG_LIMIT} bytes"
    return triton.refusal(data.decode("utf-8", "replace"))


def _matches(item: ModelFormat, name: str) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in item.files)


def _belongs(item: ModelFormat, name: str) -> bool:
    return _matches(item, name) or any(fnmatchcase(name, pattern) for pattern in item.data or ())


def _is_common(name: str) -> bool:
    lower = name.lower()
    return PurePosixPath(lower).name in _COMMON_NAMES or any(fnmatchcase(lower, pattern) for pattern in _COMMON)


def _has_suffix(name: str, suffixes: frozenset[str]) -> bool:
    """Whether one of the suffixes of a file or of its folders is listed, as in model.pkl.gz or model.egg/a."""
    return any(suffix in suffixes for part in name.lower().split("/") for suffix in PurePosixPath(part).suffixes)


def _start(place: Path) -> bytes:
    with place.open("rb") as file:
        return file.read(len(_ZIP_START))


def _holds_pickle(place: Path) -> bool:
    suffix = place.suffix.lower()
    if suffix in _DATA_ONLY:
        return False
    start = _start(place)
    if start[:1] == _PICKLE_START and len(start) > 1:
        return start[1] in _PICKLE_PROTOCOLS
    # torch.save writes a zip archive that contains a pickle.
    return start == _ZIP_START and (suffix == ".bin" or _zipped_pickle(place))


def _zipped_pickle(place: Path) -> bool:
    try:
        with ZipFile(place) as archive:
            return any(_has_suffix(name, _PICKLE_SUFFIXES) for name in archive.namelist())
    except (BadZipFile, OSError, ValueError, NotImplementedError):
        return False


def _listed(names: tuple[str, ...]) -> str:
    shown = ", ".join(name[:100] for name in names[:_NAMED])
    more = len(names) - _NAMED
    return f"{shown} and {more} more" if more > 0 else shown or "no files"
