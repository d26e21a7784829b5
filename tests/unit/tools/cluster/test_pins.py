"""The list of pins, the go.mod files and the build commands agree."""

import re
from pathlib import Path

import pytest

from tools.cluster import gobuild, paths, pins
from tools.cluster.errors import ClusterError

FOLDER = paths.PACKAGE / "gomod"


@pytest.mark.parametrize("component", pins.COMPONENTS, ids=lambda each: each.name)
def test_go_mod_pins_the_version_that_the_list_names(component: pins.Component) -> None:
    text = (FOLDER / component.name / "go.mod").read_text()
    if component.module:
        assert re.search(rf"^\s*(require )?{re.escape(component.module)} v{component.version}( |$)", text, re.MULTILINE)
        assert (FOLDER / component.name / "go.sum").read_text().count(f"{component.module} v{component.version}") == 2
    else:
        assert "require" not in text


def test_every_folder_is_listed() -> None:
    assert {entry.name for entry in FOLDER.iterdir()} == {component.name for component in pins.COMPONENTS}


def test_kubernetes_staging_modules_have_the_matching_version() -> None:
    replaced = re.findall(r"=> k8s\.io/\S+ (v\S+)", (FOLDER / "kubernetes" / "go.mod").read_text())
    assert len(replaced) > 20
    assert set(replaced) == {"v0." + pins.KUBERNETES.split(".", 1)[1]}


def test_program_names_are_unique_and_found() -> None:
    names = [binary.name for component in pins.COMPONENTS for binary in component.binaries]
    assert len(set(names)) == len(names)
    assert all(pins.find(name)[1].name == name for name in names)
    with pytest.raises(KeyError):
        pins.find("docker")


def test_what_a_cluster_needs_is_pinned() -> None:
    assert {*pins.CONTROL_PLANE, *pins.NODE} <= {component.name for component in pins.COMPONENTS}


def test_builds_never_change_go_mod_and_carry_the_version() -> None:
    component, binary = pins.find("kubelet")
    argv = gobuild.command("go", component, binary, Path("/out"))
    assert "-mod=readonly" in argv
    assert "-trimpath" in argv
    assert f"-X k8s.io/component-base/version.gitVersion=v{pins.KUBERNETES}" in " ".join(argv)
    assert argv[-1] == "k8s.io/kubernetes/cmd/kubelet"


def test_only_what_the_cache_lacks_is_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    paths.bin_dir().mkdir(parents=True)
    component, binary = pins.find("containerd")
    paths.binary_file(binary, component).touch()
    assert [each.name for _, each in gobuild.missing(["containerd"])] == ["containerd-shim-runc-v2", "ctr"]


def test_an_unknown_component_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ClusterError) as error:
        gobuild.build(["haproxy"])
    assert "kubernetes" in error.value.fix


def test_a_failing_build_names_step_cause_and_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    go = tmp_path / "go"
    go.write_text(
        "#!/bin/sh\n[ $1 = version ] && echo go version go1.26.0 && exit\necho boom: no space left on device\nexit 1\n"
    )
    go.chmod(0o755)
    monkeypatch.setattr("shutil.which", lambda *_args, **_kwargs: str(go))
    monkeypatch.setattr(gobuild, "FREE_GIB_NEEDED", 0)
    with pytest.raises(ClusterError) as error:
        gobuild.build(["pause"])
    assert "building pause 1 failed" in error.value.what
    assert "boom" in error.value.what
    assert "free some disk space" in error.value.fix
    assert "boom" in Path(error.value.where).read_text()
    assert list(paths.bin_dir().iterdir()) == []
