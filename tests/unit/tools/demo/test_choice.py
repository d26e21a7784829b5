"""Which cluster is taken, and what is said when none can be. Machines are made up: kind itself needs Docker."""

from pathlib import Path

import pytest

from tools.demo.choice import Machine, NoChoice, Wish, choose, from_environment

NOTHING = Machine(root=False, docker=False, kind=False, go=False)
ROOT = Machine(root=True, docker=False, kind=False, go=True)
DOCKER_AND_KIND = Machine(root=False, docker=True, kind=True, go=False)
DOCKER_AND_GO = Machine(root=False, docker=True, kind=False, go=True)
ALL = Machine(root=True, docker=True, kind=True, go=True)
MINE = Wish(kubeconfig=Path("/home/me/config"), push="registry.example/team")


@pytest.mark.parametrize(
    ("wish", "machine", "kind"),
    [
        (Wish(), ROOT, "embedded"),
        (Wish(), DOCKER_AND_KIND, "kind"),
        (Wish(), DOCKER_AND_GO, "kind"),
        (Wish(), ALL, "kind"),
        (Wish(), Machine(root=True, docker=True, kind=False, go=False), "embedded"),
        (MINE, ALL, "own"),
        (Wish(context="team", load_command="load {archive}"), NOTHING, "own"),
        (Wish(cluster="own", push="registry.example/team"), NOTHING, "own"),
        (Wish(cluster="embedded", kubeconfig=Path("/home/me/config")), ALL, "embedded"),
        (Wish(cluster="kind", context="team"), ALL, "kind"),
    ],
)
def test_the_users_cluster_wins_then_kind_then_the_embedded_one(wish: Wish, machine: Machine, kind: str) -> None:
    assert choose(wish, machine) == kind


@pytest.mark.parametrize(
    ("wish", "machine", "what", "way"),
    [
        (Wish(), NOTHING, "not root", "sudo -E make demo"),
        (Wish(cluster="embedded"), DOCKER_AND_KIND, "needs root", "start Docker"),
        (Wish(cluster="kind"), ROOT, "Docker engine", "--context NAME"),
        (Wish(cluster="kind"), Machine(root=False, docker=True, kind=False, go=False), "neither `kind` nor a Go", "Go"),
        (Wish(context="team"), ALL, "cannot see the images", "--load-command"),
        (Wish(context="team", push="r", load_command="l"), ALL, "exclude each other", "one of them"),
    ],
)
def test_where_the_user_must_decide_the_ways_are_named(wish: Wish, machine: Machine, what: str, way: str) -> None:
    with pytest.raises(NoChoice) as raised:
        choose(wish, machine)

    assert what in raised.value.what
    assert way in raised.value.fix


def test_kubeconfig_of_the_environment_counts_unless_an_option_says_otherwise() -> None:
    environment = {"KUBECONFIG": "/home/me/config"}

    assert from_environment(Wish(), environment).kubeconfig == Path("/home/me/config")
    assert from_environment(Wish(push="r"), environment).push == "r"
    assert from_environment(Wish(kubeconfig=Path("/other")), environment).kubeconfig == Path("/other")
    assert from_environment(Wish(cluster="embedded"), environment).kubeconfig is None
    assert from_environment(Wish(cluster="kind"), environment).kubeconfig is None
    assert from_environment(Wish(), {"KUBECONFIG": ""}).kubeconfig is None
