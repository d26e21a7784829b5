"""The operator's settings: command line and a YAML file, validated before anything starts."""

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import ValidationError

from perennial.api.contract.settings import OperatorConfig

CONFIG_VARIABLE: Final = "PERENNIAL_OPERATOR_CONFIG"
_MOST_ERRORS = 10


class SettingsError(Exception):
    """The settings are invalid; the message names the file and field, and what to do."""


@dataclass(frozen=True)
class Settings:
    """Parsed command line and configuration of `perennial operator`."""

    config: OperatorConfig
    kubeconfig: Path | None = None
    context: str | None = None
    use_proxy_env: bool = False
    namespace: str | None = None
    """Namespace of the Lease; None: the namespace of the credentials."""


def parse_arguments(argv: Sequence[str]) -> Settings:
    """Parse the command line and load the configuration.

    Raises:
        SettingsError: the configuration is invalid.
        SystemExit: the command line is invalid (status 2), or asks for help.
    """
    parser = argparse.ArgumentParser(prog="perennial operator", description="Run the operator.")
    parser.add_argument("--config", type=Path, help=f"YAML file with the configuration; by default ${CONFIG_VARIABLE}")
    parser.add_argument(
        "--kubeconfig", type=Path, help="kubeconfig; by default the pod's service account or $KUBECONFIG"
    )
    parser.add_argument("--context", help="context of the kubeconfig; by default its current one")
    parser.add_argument("--namespace", help="namespace of the leader election's Lease; by default $POD_NAMESPACE")
    parser.add_argument(
        "--use-proxy-env",
        action="store_true",
        help="use HTTP_PROXY and related variables, at some cost per request",
    )
    found = parser.parse_args(argv)
    named = os.environ.get(CONFIG_VARIABLE)
    path = found.config or (Path(named) if named else None)
    return Settings(
        config=OperatorConfig() if path is None else load_config(path),
        kubeconfig=found.kubeconfig,
        context=found.context,
        use_proxy_env=found.use_proxy_env,
        namespace=found.namespace or os.environ.get("POD_NAMESPACE") or None,
    )


def load_config(path: Path) -> OperatorConfig:
    """Load a YAML file; unknown fields are errors, since most are misspelled.

    Raises:
        SettingsError: the file cannot be read, is not YAML, or has invalid fields.
    """
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(
            f"{path}: {error.strerror}. Give the right file with --config or ${CONFIG_VARIABLE}"
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: not YAML: {error}. Correct the file") from error
    return parse_config(document if document is not None else {}, str(path))


def parse_config(document: Any, where: str) -> OperatorConfig:
    """Validate a configuration; `where` names it in errors.

    Raises:
        SettingsError: it has invalid fields.
    """
    if not isinstance(document, dict):
        raise SettingsError(f"{where}: must be a YAML mapping of settings, not a {type(document).__name__}")
    try:
        config = OperatorConfig.model_validate(document, extra="forbid", by_alias=True, by_name=False)
    except ValidationError as error:
        faults = [f"  {_path(item['loc'])}: {_advice(item)}" for item in error.errors(include_url=False)]
        shown = "\n".join(faults[:_MOST_ERRORS])
        raise SettingsError(f"{where}: {len(faults)} invalid field(s):\n{shown}") from error
    _check_election(config, where)
    return config


def _check_election(config: OperatorConfig, where: str) -> None:
    """Reject times with which two replicas could lead at once, or the leader could not renew in time."""
    election = config.leader_election
    if not election.retry_seconds < election.renew_seconds < ceil(election.lease_seconds):
        raise SettingsError(
            f"{where}: leaderElection: retrySeconds ({election.retry_seconds:g}) must be less than renewSeconds "
            f"({election.renew_seconds:g}), and that less than leaseSeconds ({election.lease_seconds:g})"
        )


def _advice(fault: Any) -> str:
    if fault["type"] == "extra_forbidden":
        return "no such setting; look for a misspelling, or remove it"
    return str(fault["msg"])


def _path(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in location)
