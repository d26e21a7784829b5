"""Command line of `perennial agent audit`, for a person. The operator passes the same by the environment."""

import argparse
from collections.abc import Sequence
from typing import Any

from pydantic import TypeAdapter, ValidationError

from perennial.api.contract.audit import OUTBOX, AuditAppend, AuditConfig, AuditKind, AuditShow, AuditVerify

_CONFIG: TypeAdapter[AuditAppend | AuditVerify | AuditShow] = TypeAdapter(AuditConfig)
KINDS = {"append": "AuditAppend", "verify": "AuditVerify", "show": "AuditShow"}


def config_of(arguments: Sequence[str]) -> AuditAppend | AuditVerify | AuditShow:
    """Return the configuration that a command line states.

    Raises:
        SystemExit: the command line is wrong (2), or asks for help (0); what is wrong was printed.
    """
    parser = _parser()
    given = vars(parser.parse_args(arguments))
    document: dict[str, Any] = {"kind": KINDS[given.pop("command")]}
    document["storage"] = _picked(given, {"endpoint": "endpoint", "region": "region", "addressing": "addressing"})
    expect = _picked(given, {"expect_sequence": "sequence", "expect_hash": "hash"})
    if len(expect) == 1:
        parser.error("--expect-sequence and --expect-hash belong together")
    lock = _picked(given, {"lock_days": "days", "lock_mode": "mode"})
    if "mode" in lock and "days" not in lock:
        parser.error("--lock-mode needs --lock-days")
    document |= {name: value for name, value in (("expect", expect), ("lock", lock)) if value}
    document |= {name: value for name, value in given.items() if value is not None}
    try:
        return _CONFIG.validate_python(document)
    except ValidationError as error:
        first = error.errors()[0]
        parser.error(f"{' '.join(map(str, first['loc'][1:]))}: {first['msg']}")


def _picked(given: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    """Move options into a document, under other names, without those that were not given."""
    found = {field: given.pop(option, None) for option, field in names.items()}
    return {field: value for field, value in found.items() if value is not None}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="perennial agent audit",
        description="Append to a hash-chained audit log in S3, verify it, or show entries of it. Credentials are found "
        "as boto3 does. Without options, the configuration is read from PERENNIAL_CONFIG.",
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    append = _command(commands, "append", "write the entries of an outbox")
    append.add_argument("--outbox", default=OUTBOX, help="folder with *.jsonl, one entry in JSON a line")
    append.add_argument("--lock-days", type=int, help="Object Lock of what is written, in days")
    append.add_argument("--lock-mode", choices=("GOVERNANCE", "COMPLIANCE"), help="default: GOVERNANCE")
    _expect(append)
    verify = _command(commands, "verify", "check every line; exit with 86 if the log is not as it was written")
    _range(verify)
    _expect(verify)
    verify.add_argument("--versions", action="store_true", default=None, help="compare with the versions in the bucket")
    show = _command(commands, "show", "print entries, oldest first; they are not verified")
    _range(show)
    show.add_argument("--model", dest="model_digest", help="sha256:... of the model")
    show.add_argument("--kind", dest="resource_kind", choices=AuditKind.__args__)  # type: ignore[attr-defined]
    show.add_argument("--namespace")
    show.add_argument("--name")
    return parser


def _command(commands: Any, name: str, text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
    parser.add_argument("--uri", required=True, help="s3://bucket/prefix/ of the log")
    parser.add_argument("--endpoint", help="URL of the S3 service; default: AWS")
    parser.add_argument("--region")
    parser.add_argument("--addressing", choices=("path", "virtual", "auto"))
    return parser


def _expect(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--expect-sequence", type=int, help="a line that the log must hold, as you kept it elsewhere")
    parser.add_argument("--expect-hash", help="its hash, sha256:...")


def _range(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--since", help="time or date in UTC, such as 2026-01-31")
    parser.add_argument("--until", help="time or date in UTC; a date is included")
    parser.add_argument("-o", "--output", choices=("text", "json"))
