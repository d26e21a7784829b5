"""Settings: every wrong field is named with its file and what to do."""

from pathlib import Path

import pytest

from perennial.runtime.process.app import main
from perennial.runtime.process.settings import CONFIG_VARIABLE, SettingsError, load_config, parse_arguments


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    return path


def test_an_empty_file_means_the_defaults(tmp_path: Path) -> None:
    config = load_config(written(tmp_path, ""))
    assert config.watch_namespaces == ()
    assert config.leader_election.enabled


def test_fields_are_read_by_their_yaml_names(tmp_path: Path) -> None:
    config = load_config(written(tmp_path, "watchNamespaces: [a]\nqueue: {workers: 3}\nresyncSeconds: 60\n"))
    assert (config.watch_namespaces, config.queue.workers, config.resync_seconds) == (("a",), 3, 60)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("watchNamespace: [a]", "watchNamespace: no such setting"),
        ("watch_namespaces: [a]", "watch_namespaces: no such setting"),
        ("queue: {workers: many}", "queue.workers: Input should be a valid integer"),
        ("queue: {workers: 0}", "queue.workers: Input should be greater than or equal to 1"),
        ("leaderElection: {renew: 3}", "leaderElection.renew: no such setting"),
        ("leaderElection: {renewSeconds: 20}", "renewSeconds (20), and that less than leaseSeconds (15)"),
        ("leaderElection: {retrySeconds: 11}", "retrySeconds (11) must be less than renewSeconds (10)"),
        ("[a, b]", "must be a YAML mapping of settings, not a list"),
        ("a: [", "not YAML"),
        ("httpPort: 0\nlogLevel: loud", "2 invalid field(s)"),
    ],
)
def test_a_wrong_field_is_named_with_the_file(tmp_path: Path, text: str, told: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(SettingsError) as caught:
        load_config(path)
    assert told in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"nowhere\.yaml: No such file"):
        load_config(tmp_path / "nowhere.yaml")


def test_the_file_may_come_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CONFIG_VARIABLE, str(written(tmp_path, "httpPort: 9999")))
    monkeypatch.setenv("POD_NAMESPACE", "perennial")
    settings = parse_arguments([])
    assert (settings.config.http_port, settings.namespace) == (9999, "perennial")
    assert parse_arguments(["--config", str(written(tmp_path, "httpPort: 1234"))]).config.http_port == 1234


def test_wrong_settings_end_with_2_and_no_traceback(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--config", str(written(tmp_path, "x: 1"))]) == 2
    told = capsys.readouterr().err
    assert told.startswith("perennial operator: ")
    assert "Traceback" not in told


def test_no_way_to_the_api_server_ends_with_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--kubeconfig", str(tmp_path / "none"), "--config", str(written(tmp_path, ""))]) == 2
    assert "no usable configuration of the API server" in capsys.readouterr().err
