"""Versions are signed when published and verified when fetched; the command of the package itself agrees."""

import logging
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from model_signing._cli import main as command

from perennial.agent.cli import main
from perennial.agent.publish.command import publish, publish_on_sigterm
from perennial.agent.storage.client import ObjectStore
from perennial.agent.storage.errors import AgentError
from perennial.api.contract.commands import FetchModel, ModelFolder, PublishConfig, SigningKey
from perennial.api.contract.manifest import Manifest
from perennial.api.contract.messages import Published
from perennial.api.modeldeployment.models import Verify
from perennial.core.failures import SIGNING_KEY_INVALID, by_reason
from perennial.core.termination import parse_message
from perennial.generate.presets import PRESETS
from tests.unit.agent.conftest import S3Server

FILES = {"model.json": b"{}", "sub/.hidden": b"x", "metrics.json": b'{"auc": 0.9}', ".gitattributes": b"*.bin lfs"}
PLAIN = {"model.json": b"{}"}


@dataclass(frozen=True)
class Keys:
    """A pair of keys as files."""

    private: Path
    public: Path

    @property
    def config(self) -> SigningKey:
        return SigningKey(file=str(self.private), secret="signing", key="key.pem")

    @property
    def verify(self) -> Verify:
        return Verify(public_key=self.public.read_text())


def keys(folder: Path, curve: ec.EllipticCurve | None = None) -> Keys:
    folder.mkdir(parents=True, exist_ok=True)
    private = ec.generate_private_key(curve or ec.SECP256R1())
    found = Keys(folder / "private.pem", folder / "public.pem")
    found.private.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    found.public.write_bytes(private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return found


class Bench:
    """Publishes, fetches, and calls the command of the package, all on one S3 server."""

    def __init__(self, s3: S3Server, store: ObjectStore, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.s3, self.store, self.folder, self.monkeypatch = s3, store, folder, monkeypatch
        self.bucket = s3.bucket()

    def config(self, files: dict[str, bytes], signer: SigningKey | None) -> PublishConfig:
        root = self.folder / f"root-{len(list(self.folder.iterdir()))}"
        for name, data in files.items():
            path = root / "output" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        return PublishConfig(
            storage=self.s3.storage,
            output=f"s3://{self.bucket}/models/",
            namespace="n",
            training_job="t",
            run="t-1",
            attempt=0,
            root=str(root),
            sign=signer,
        )

    def publish(self, files: dict[str, bytes], by: Keys | None = None) -> Published:
        message = publish(self.config(files, by.config if by is not None else None), self.store)
        assert isinstance(message, Published)
        return message

    def prefix(self, version: Published) -> str:
        return version.uri.removeprefix(f"s3://{self.bucket}/")

    def downloaded(self, version: Published) -> Path:
        """The version's folder, exactly as it lies in the storage."""
        folder = self.folder / f"copy-{len(list(self.folder.iterdir()))}"
        for key in self.s3.keys(self.bucket, self.prefix(version)):
            path = folder / key.removeprefix(self.prefix(version))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(self.s3.read(self.bucket, key))
        return folder

    def put_signature(self, version: Published, data: bytes) -> None:
        self.s3.put(self.bucket, {f"{self.prefix(version)}model.sig": data})

    def signature(self, version: Published) -> bytes:
        return self.s3.read(self.bucket, f"{self.prefix(version)}model.sig")

    def fetch(self, version: Published, verify: Verify | None, **changed: Any) -> tuple[str, str]:
        """Run `perennial agent fetch`; return the reason (or the kind) of its message, and the message."""
        settings = {"uri": version.uri, "digest": version.digest, "directory": str(self.folder / "model")}
        config = FetchModel(storage=self.s3.storage, verify=verify, **{**settings, **changed})
        self.monkeypatch.setenv("PERENNIAL_CONFIG", config.model_dump_json(by_alias=True, exclude_none=True))
        self.monkeypatch.setenv("PERENNIAL_TERMINATION_LOG", str(self.folder / "message"))
        self.monkeypatch.setattr("perennial.agent.cli._exit_on_sigterm", lambda: None)
        code = main(["fetch"])
        message: Any = parse_message((self.folder / "message").read_text())
        reason = getattr(message, "reason", message.kind)
        failure = by_reason(reason)
        assert code == (failure.code if failure is not None else 0)
        return reason, getattr(message, "message", "")


@pytest.fixture
def bench(s3: S3Server, store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(s3, store, tmp_path, monkeypatch)


def package(*arguments: str | Path) -> tuple[int, str]:
    """Run the command of the package `model-signing`, which knows nothing of this project."""
    done = CliRunner().invoke(command, [str(item) for item in arguments])
    return done.exit_code, done.output


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()], ids=lambda curve: str(curve.name))
def test_the_packages_own_command_accepts_a_version_as_it_lies_in_the_storage(
    bench: Bench, curve: ec.EllipticCurve
) -> None:
    pair = keys(bench.folder / "keys", curve)
    folder = bench.downloaded(bench.publish(FILES, pair))
    arguments = ("verify", "key", folder, "--signature", folder / "model.sig", "--public_key", pair.public)
    # The package leaves out git's files unless it is told not to; here they are served, so they are signed.
    everything = (*arguments, "--no-ignore-git-paths")

    assert package(*everything) == (0, "Verification succeeded\n")
    (folder / "model.json").write_bytes(b"[]")
    code, said = package(*everything)
    assert code == 1
    assert "Hash mismatch for 'model.json'" in said


def test_a_version_without_files_of_git_needs_no_option(bench: Bench) -> None:
    pair = keys(bench.folder / "keys")
    folder = bench.downloaded(bench.publish(PLAIN, pair))

    given = ["--signature", str(folder / "model.sig"), "--public_key", str(pair.public)]
    program = [sys.executable, "-m", "model_signing", "verify", "key", str(folder), *given]
    done = subprocess.run(program, capture_output=True, text=True, timeout=240, check=False)

    assert (done.returncode, done.stdout) == (0, "Verification succeeded\n")


def test_a_version_that_the_packages_own_command_signed_is_fetched(bench: Bench) -> None:
    pair = keys(bench.folder / "keys")
    version = bench.publish(PLAIN)
    folder = bench.downloaded(version)
    assert (folder / "README.md").exists()
    signed = package("sign", "key", folder, "--signature", folder / "model.sig", "--private_key", pair.private)
    assert signed == (0, "Signing succeeded\n")
    bench.put_signature(version, (folder / "model.sig").read_bytes())

    assert bench.fetch(version, pair.verify, formats=PRESETS["mlserver-xgboost"].formats) == ("Fetched", "")
    assert (bench.folder / "model" / "model.json").read_bytes() == b"{}"
    assert not (bench.folder / "model" / "model.sig").exists()

    # It signed the card and the manifest, too.
    bench.s3.put(bench.bucket, {f"{bench.prefix(version)}README.md": b"another"})
    assert bench.fetch(version, pair.verify)[0] == "SignatureInvalid"


def test_a_model_that_the_code_itself_signed_is_fetched_with_its_signature(bench: Bench) -> None:
    pair = keys(bench.folder / "keys")
    output = bench.folder / "output"
    output.mkdir()
    (output / "model.json").write_bytes(b"{}")
    package("sign", "key", output, "--signature", output / "model.sig", "--private_key", pair.private)
    version = bench.publish({**PLAIN, "model.sig": (output / "model.sig").read_bytes()})

    assert bench.fetch(version, pair.verify, formats=PRESETS["mlserver-xgboost"].formats) == ("Fetched", "")


def another_model(bench: Bench, pair: Keys) -> bytes:
    return bench.signature(bench.publish({"model.json": b"[]"}, pair))


def another_key(bench: Bench, _: Keys) -> bytes:
    return bench.signature(bench.publish(PLAIN, keys(bench.folder / "others")))


def one_file_left_out(bench: Bench, pair: Keys) -> bytes:
    """The signature itself says that the file does not matter."""
    folder = bench.folder / "part"
    folder.mkdir()
    (folder / "model.json").write_bytes(b"{}")
    (folder / "extra.txt").write_bytes(b"x")
    private = ("--private_key", pair.private)
    package("sign", "key", folder, "--signature", folder / "s", *private, "--ignore-paths", folder / "extra.txt")
    return (folder / "s").read_bytes()


def one_byte_changed(bench: Bench, pair: Keys) -> bytes:
    bundle = bench.signature(bench.publish(PLAIN, pair))
    place = bundle.index(b'"payload":') + 200
    other = b"A" if bundle[place : place + 1] != b"A" else b"B"
    return bundle[:place] + other + bundle[place + 1 :]


REFUSED: dict[str, tuple[Callable[[Bench, Keys], bytes], str]] = {
    "of another model": (another_model, "Hash mismatch for 'model.json'"),
    "by another key": (another_key, "Key mismatch"),
    "that leaves out a file": (one_file_left_out, "'extra.txt' is not signed"),
    "with one byte changed": (one_byte_changed, "is no valid signature of the model"),
    "that is empty": (lambda *_: b"", "is no valid signature of the model"),
    "that is no bundle": (lambda *_: b'{"verificationMaterial": 1}', "is no valid signature of the model"),
    "that nests deeply": (lambda *_: b"[" * 100_000, "is no valid signature of the model"),
    "that is not text": (lambda *_: b"\xff\xfe", "is no valid signature of the model"),
}


@pytest.mark.parametrize("about", REFUSED)
def test_a_signature_is_refused_before_anything_is_downloaded(bench: Bench, about: str) -> None:
    make, said = REFUSED[about]
    pair = keys(bench.folder / "keys")
    signature = make(bench, pair)
    extra = {"extra.txt": b"x"} if make is one_file_left_out else {}
    version = bench.publish({**PLAIN, **extra})
    bench.put_signature(version, signature)

    reason, message = bench.fetch(version, pair.verify)

    assert reason == "SignatureInvalid"
    assert said in message
    assert not (bench.folder / "model").exists()


def test_a_version_that_nobody_signed_is_refused(bench: Bench) -> None:
    pair = keys(bench.folder / "keys")
    version = bench.publish(PLAIN)

    reason, message = bench.fetch(version, pair.verify)

    assert (reason, f"{version.uri}model.sig does not exist" in message) == ("SignatureMissing", True)
    assert "spec.output.sign" in message
    assert bench.fetch(version, None)[0] == "Fetched"


def test_further_models_must_be_signed_too(bench: Bench) -> None:
    pair = keys(bench.folder / "keys")
    first, second = bench.publish(PLAIN, pair), bench.publish({"model.json": b"[]"})
    more = (ModelFolder(uri=second.uri, digest=second.digest, directory=str(bench.folder / "second")),)

    assert bench.fetch(first, pair.verify, more=more)[0] == "SignatureMissing"
    bench.publish({"model.json": b"[]"}, pair)
    assert bench.fetch(first, pair.verify, more=more)[0] == "Fetched"


def test_a_signature_by_one_of_several_keys_is_accepted(bench: Bench) -> None:
    old, new, other = (keys(bench.folder / name) for name in ("old", "new", "other"))
    version = bench.publish(PLAIN, new)
    both = Verify(public_key=old.public.read_text() + new.public.read_text())

    assert bench.fetch(version, both)[0] == "Fetched"
    neither = Verify(public_key=old.public.read_text() + other.public.read_text())
    reason, message = bench.fetch(version, neither)
    assert (reason, "by none of 2 keys" in message) == ("SignatureInvalid", True)


def test_a_public_key_that_is_none_is_told(bench: Bench) -> None:
    version = bench.publish(PLAIN, keys(bench.folder / "keys"))
    wrong = Verify(public_key="-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n")

    reason, message = bench.fetch(version, wrong)

    assert (reason, "spec.model.verify.publicKey" in message) == ("SigningKeyInvalid", True)


def test_the_digest_is_checked_first(bench: Bench) -> None:
    pair = keys(bench.folder / "keys")
    version = bench.publish(PLAIN, pair)
    bench.s3.put(bench.bucket, {f"{bench.prefix(version)}model.json": b"[]"})

    assert bench.fetch(version, pair.verify)[0] == "DigestMismatch"


def test_publishing_the_same_content_again_signs_it_with_the_present_key(bench: Bench) -> None:
    old, new = keys(bench.folder / "old"), keys(bench.folder / "new")
    first = bench.publish(PLAIN, old)
    again = bench.publish(PLAIN, new)

    assert again.uri == first.uri
    assert bench.fetch(again, old.verify)[0] == "SignatureInvalid"
    assert bench.fetch(again, new.verify)[0] == "Fetched"


def test_a_signature_that_the_code_left_is_replaced_by_the_publishers(bench: Bench) -> None:
    pair = keys(bench.folder / "keys")
    version = bench.publish({**PLAIN, "model.sig": b"forged"}, pair)

    manifest = Manifest.model_validate_json(bench.s3.read(bench.bucket, f"{bench.prefix(version)}manifest.json"))
    assert [entry.path for entry in manifest.files] == ["model.json"]
    assert [(entry.path, "reserved" in entry.reason) for entry in manifest.skipped] == [("model.sig", True)]
    assert bench.fetch(version, pair.verify)[0] == "Fetched"


def rsa_key() -> bytes:
    private = rsa.generate_private_key(65537, 2048)
    return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def locked_key() -> bytes:
    private = ec.generate_private_key(ec.SECP256R1())
    return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))


def other_curve() -> bytes:
    private = ec.generate_private_key(ec.SECP256K1())
    return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


WRONG_KEYS: dict[str, Callable[[], bytes | None]] = {
    "missing": lambda: None,
    "RSA": rsa_key,
    "locked": locked_key,
    "another curve": other_curve,
    "no key": lambda: b"-----BEGIN PRIVATE KEY-----\nc2VjcmV0LWJ5dGVz\n-----END PRIVATE KEY-----\n",
}


@pytest.mark.parametrize("about", WRONG_KEYS)
def test_a_private_key_that_cannot_sign_is_told_before_the_training_and_never_shown(
    bench: Bench, about: str, caplog: pytest.LogCaptureFixture
) -> None:
    content = WRONG_KEYS[about]()
    path = bench.folder / "key.pem"
    if content is not None:
        path.write_bytes(content)
    config = bench.config(PLAIN, SigningKey(file=str(path), secret="signing", key="churn.pem"))

    def train() -> None:
        pytest.fail("the training would have run for nothing")

    with caplog.at_level(logging.DEBUG), pytest.raises(AgentError) as caught:
        publish_on_sigterm(config, bench.store, train)

    assert caught.value.failure is SIGNING_KEY_INVALID
    assert caught.value.message.startswith("key churn.pem of Secret signing (spec.output.sign.keySecret) ")
    lines = (content or b"").decode().splitlines()[1:-1]
    assert not any(line in caught.value.message + caplog.text for line in lines)
    assert bench.s3.keys(bench.bucket) == []


def test_the_private_key_is_in_nothing_that_is_published_or_logged(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    pair = keys(bench.folder / "keys")
    with caplog.at_level(logging.DEBUG):
        version = bench.publish(PLAIN, pair)
    secrets = pair.private.read_text().splitlines()[1:-1]
    published = [bench.s3.read(bench.bucket, key).decode() for key in bench.s3.keys(bench.bucket)]

    for text in (*published, caplog.text, version.model_dump_json()):
        assert not any(secret in text for secret in secrets)
