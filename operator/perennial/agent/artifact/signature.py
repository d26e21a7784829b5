"""Signatures of published versions in the format of OpenSSF Model Signing, by the package `model-signing`.

The package is given the sha256 of every file, which publishing has computed and fetching checks, instead of the files:
a large model is not read twice, and one that nobody signed is refused before it is downloaded. Import this module only
where a version is signed or verified: it takes a second.

Source: https://github.com/ossf/model-signing-spec
"""

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

from model_signing import hashing, manifest, signing, verifying

# What the hashes of a manifest are; the package exports it nowhere else.
from model_signing._hashing.hashing import Digest

from perennial.agent.artifact.manifest import CARD, MANIFEST, SIGNATURE
from perennial.agent.storage.errors import AgentError
from perennial.api.contract.commands import SigningKey
from perennial.api.contract.manifest import FileEntry
from perennial.core.failures import SIGNATURE_INVALID, SIGNING_KEY_INVALID

_FORMAT = {"method": "files", "hash_type": "sha256", "allow_symlinks": False}
_PEM = re.compile(r"-----BEGIN PUBLIC KEY-----.*?-----END PUBLIC KEY-----", re.DOTALL)
_LONGEST_PROBLEM = 300
_BESIDE = (MANIFEST, CARD)
"""What publishing puts beside the files. Nothing of it is served, so it may be signed, but need not."""


class _Digests(hashing.Config):
    """Gives the package digests that are known already."""

    def __init__(self, digests: Callable[[tuple[str, ...]], Mapping[str, str]], ignored: Iterable[str] = ()) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._digests = digests
        self._ignored = sorted(ignored)

    def hash(self, model_path: Any, *, files_to_hash: Iterable[Any] | None = None) -> Any:
        """Return the manifest of the wanted files, or of all."""
        wanted = (Path(path).relative_to(model_path).as_posix() for path in files_to_hash or ())
        ignored = {"ignore_paths": self._ignored} if self._ignored else {}
        form = manifest.SerializationType.from_args({**_FORMAT, **ignored})
        found = self._digests(tuple(wanted))
        items = [form.new_item(name, Digest("sha256", bytes.fromhex(value))) for name, value in found.items()]
        return manifest.Manifest(Path(model_path).name, items, form)


def check_signing_key(key: SigningKey) -> None:
    """Check that versions can be signed with a private key.

    Raises:
        AgentError: SigningKeyInvalid.
    """
    _signer(key)


def sign(key: SigningKey, files: Iterable[FileEntry], name: str) -> bytes:
    """Sign the files of a version; return the bundle that belongs into its `model.sig`.

    Args:
        key: where the private key is mounted.
        files: all files of the version.
        name: of its folder; for information only.

    Raises:
        AgentError: SigningKeyInvalid.
    """
    digests = {entry.path: entry.sha256 for entry in files}
    ignored = {SIGNATURE, *_BESIDE} - digests.keys()
    signer = _signer(key)
    with _in_memory(b"") as made:
        signer.set_hashing_config(_Digests(lambda _: digests, ignored)).sign(Path(name), made)
        return made.read_bytes()


def _signer(key: SigningKey) -> Any:
    """Load the private key. The error of the library is left out: nothing that it read may reach a log."""
    named = f"key {key.key} of Secret {key.secret} (spec.output.sign.keySecret)"
    path = Path(key.file)
    if not path.exists():
        raise AgentError(SIGNING_KEY_INVALID, f"{named} does not exist")
    try:
        return signing.Config().use_elliptic_key_signer(private_key=path)
    except Exception as error:
        why = "cannot be read" if isinstance(error, OSError) else "is not such a key"
        raise AgentError(SIGNING_KEY_INVALID, f"{named} {why}") from None


def verify(
    signature: bytes, public_keys: str, files: Iterable[FileEntry], name: str, stored: Callable[[str], bytes]
) -> None:
    """Check that somebody with one of the keys has signed exactly these files.

    Args:
        signature: content of `model.sig`, which anybody may have written.
        public_keys: one or more keys in PEM.
        files: all files of the version that may be served. Each must be signed: the paths that the signature says
            it ignores do not count.
        name: URI of the version, for messages.
        stored: reads a small object of the version that is not served, to check it if it was signed too.

    Raises:
        AgentError: SignatureInvalid, or SigningKeyInvalid if a public key is none.
    """
    served = {entry.path: entry.sha256 for entry in files if entry.path != SIGNATURE}
    keys = _PEM.findall(public_keys)
    verifiers = [_verifier(key) for key in keys or [public_keys]]

    def digests(signed: tuple[str, ...]) -> Mapping[str, str]:
        unsigned = sorted(served.keys() - set(signed))
        if unsigned:
            more = f" and {len(unsigned) - 1} more" if len(unsigned) > 1 else ""
            raise AgentError(SIGNATURE_INVALID, f"{name}: {unsigned[0][:200]!r}{more} is not signed")
        beside = {item: sha256(stored(item)).hexdigest() for item in _BESIDE if item in signed and item not in served}
        return {**served, **beside}

    # Any folder: the package puts it in front of names, and nothing is read from it.
    root = Path("model")
    problems = []
    with _in_memory(signature) as path:
        for verifier in verifiers:
            try:
                verifier.set_ignore_unsigned_files(True).set_hashing_config(_Digests(digests)).verify(root, path)
            except AgentError:
                raise
            # The bundle is untrusted, and the package's parser raises whatever its libraries do.
            except Exception as error:
                problems.append(str(error)[:_LONGEST_PROBLEM] or "it is not by this key")
            else:
                return
    tried = f"by none of {len(problems)} keys; the first: " if len(problems) > 1 else ""
    raise AgentError(SIGNATURE_INVALID, f"{name}{SIGNATURE} is no valid signature of the model: {tried}{problems[0]}")


def _verifier(key: str) -> Any:
    with _in_memory(key.encode()) as path:
        try:
            return verifying.Config().use_elliptic_key_verifier(public_key=path)
        except Exception as error:
            raise AgentError(SIGNING_KEY_INVALID, "spec.model.verify.publicKey is not such a key") from error


@contextmanager
def _in_memory(data: bytes) -> Iterator[Path]:
    """Yield a file of this process alone: the package takes paths, and all volumes are shared with other containers."""
    with os.fdopen(os.memfd_create("signature"), "wb") as file:
        file.write(data)
        file.flush()
        yield Path(f"/proc/self/fd/{file.fileno()}")
