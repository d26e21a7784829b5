"""Which cluster the demo runs on: the user's where one is named, else kind where Docker works, else embedded."""

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tools.cluster import host
from tools.cluster.errors import ClusterError
from tools.cluster.images import docker_answers

Kind = Literal["own", "kind", "embedded"]


class NoChoice(ClusterError):
    """Nothing can be done before the user decides something: wrong usage, exit code 2."""


@dataclass(frozen=True)
class Wish:
    """What the user said, by options and by environment."""

    cluster: Kind | None = None
    kubeconfig: Path | None = None
    context: str | None = None
    push: str | None = None
    load_command: str | None = None

    @property
    def names_a_cluster(self) -> bool:
        """Whether it points at a cluster that exists."""
        return self.kubeconfig is not None or self.context is not None


@dataclass(frozen=True)
class Machine:
    """What is there to make a cluster with."""

    root: bool
    docker: bool
    kind: bool
    go: bool

    @staticmethod
    def look() -> "Machine":
        """Return what this machine has."""
        try:
            go = bool(host.find_go())
        except ClusterError:
            go = False
        return Machine(os.geteuid() == 0, docker_answers(), shutil.which("kind") is not None, go)


def from_environment(wish: Wish, environment: Mapping[str, str]) -> Wish:
    """Return the wish with KUBECONFIG, where no option says otherwise."""
    named = environment.get("KUBECONFIG", "")
    if wish.kubeconfig is not None or wish.cluster in {"kind", "embedded"} or not named:
        return wish
    # kubectl merges several files; the demo hands the variable on as it is, and only has to know that there is one.
    return Wish(wish.cluster, Path(named), wish.context, wish.push, wish.load_command)


def choose(wish: Wish, machine: Machine) -> Kind:
    """Return where to run.

    Raises:
        NoChoice: what is missing, and the ways out.
    """
    if wish.cluster == "own" or (wish.cluster is None and wish.names_a_cluster):
        _needs_images(wish)
        return "own"
    if wish.cluster == "kind" or (wish.cluster is None and machine.docker and (machine.kind or machine.go)):
        return _kind(machine)
    if wish.cluster == "embedded" or machine.root:
        return _embedded(machine)
    raise NoChoice("no cluster is named, no Docker engine answers, and this is not root", fix=_ways())


def _needs_images(wish: Wish) -> None:
    if wish.push and wish.load_command:
        raise NoChoice("--push and --load-command exclude each other", fix="choose one of them")
    if not wish.push and not wish.load_command:
        raise NoChoice(
            "the nodes of your cluster cannot see the images that are built here",
            where=f"KUBECONFIG={wish.kubeconfig}" if wish.kubeconfig else f"context {wish.context}",
            fix="choose one, for instance by DEMO_ARGS of make:\n"
            "- --push registry.example/team: a registry that you may write and the nodes may read;\n"
            "- --load-command 'minikube image load {archive}': a command that is run for each image's archive;\n"
            "- --cluster embedded, or --cluster kind: leave your cluster alone.",
        )


def _kind(machine: Machine) -> Kind:
    if not machine.docker:
        raise NoChoice("kind needs a Docker engine, and none answers `docker info`", fix=_ways())
    if not machine.kind and not machine.go:
        raise NoChoice("Docker works, but there is neither `kind` nor a Go to build it", fix="install kind, or Go")
    return "kind"


def _embedded(machine: Machine) -> Kind:
    if not machine.root:
        raise NoChoice("the embedded cluster needs root: it makes namespaces and mounts of its own", fix=_ways())
    return "embedded"


def _ways() -> str:
    return (
        "choose one:\n"
        "- as root: `sudo -E make demo` builds a Kubernetes of its own, out of the way of all else;\n"
        "- start Docker: `make demo` then uses kind;\n"
        "- a cluster of yours: KUBECONFIG=… make demo DEMO_ARGS='--push registry.example/team', or\n"
        "  --context NAME, and --load-command 'CMD {archive}' instead of --push."
    )
