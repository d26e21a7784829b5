"""Exit codes and words of `python -m tools.demo`: no traceback for what a user can mend."""

from pathlib import Path

import pytest

from tools.cluster.errors import ClusterError
from tools.demo import __main__ as command
from tools.demo.choice import NoChoice, Wish


def test_a_failure_names_its_cause_and_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(wish: Wish) -> None:
        raise ClusterError("the S3 server did not become ready", where="namespace perennial-demo", fix="look there")

    monkeypatch.setattr(command.up, "run", fail)

    assert command.main(["up"], {}) == 1
    said = capsys.readouterr().err
    assert "the S3 server did not become ready" in said
    assert "look there" in said
    assert "make demo-down" in said
    assert "Traceback" not in said


@pytest.mark.parametrize(("raised", "code"), [(NoChoice("which?", fix="this one"), 2), (KeyboardInterrupt(), 130)])
def test_decisions_and_interrupts_have_exit_codes_of_their_own(
    monkeypatch: pytest.MonkeyPatch, raised: BaseException, code: int
) -> None:
    def fail(wish: Wish) -> None:
        raise raised

    monkeypatch.setattr(command.up, "run", fail)

    assert command.main(["up"], {}) == code


def test_options_and_environment_become_one_wish(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[Wish, bool]] = []
    monkeypatch.setattr(command.down, "run", lambda wish, crds: seen.append((wish, crds)))

    assert command.main(["down", "--context", "team", "--crds"], {"KUBECONFIG": "/home/me/config"}) == 0
    assert seen == [(Wish(kubeconfig=Path("/home/me/config"), context="team"), True)]


def test_an_unknown_verb_is_wrong_usage() -> None:
    with pytest.raises(SystemExit) as raised:
        command.main(["sideways"], {})

    assert raised.value.code == 2
