"""Builds the pinned programs from their Go modules, once, into the cache."""

import json
import os
import subprocess
from collections.abc import Iterable
from pathlib import Path

from tools.cluster import host, paths, pins
from tools.cluster.errors import ClusterError, tail
from tools.cluster.locks import locked
from tools.cluster.progress import say, step

# A cold Go build cache of the whole list takes this much, and a full disk half-way costs the most time.
FREE_GIB_NEEDED = 6


def missing(components: Iterable[str]) -> list[tuple[pins.Component, pins.Binary]]:
    """The binaries of these components that the cache does not hold yet, in build order."""
    wanted = set(components)
    return [
        (component, binary)
        for component in pins.COMPONENTS
        if component.name in wanted
        for binary in component.binaries
        if not paths.binary_file(binary, component).exists()
    ]


def check_names(components: Iterable[str]) -> None:
    """Refuses names that are not pinned.

    Raises:
        ClusterError: with the list of the known ones.
    """
    known = [component.name for component in pins.COMPONENTS]
    unknown = [name for name in components if name not in known]
    if unknown:
        raise ClusterError(f"unknown component: {', '.join(unknown)}", fix=f"choose from {', '.join(known)}")


def build(components: Iterable[str]) -> None:
    """Builds what is missing; a second call returns at once.

    Raises:
        ClusterError: no Go, no disk, or a build failed; names the step, the cause and the log.
    """
    names = list(components)
    check_names(names)
    if not missing(names):
        return
    go = host.find_go()
    with locked("build", waiting="another build is running; waiting for it"):
        todo = missing(names)
        host.check_free_disk(paths.cache(), FREE_GIB_NEEDED, "a first build")
        if len(todo) > 1:
            minutes = max(1, round(sum(binary.seconds for _, binary in todo) / 60))
            say(f"building {len(todo)} programs from their Go modules: about {minutes} min, this once")
        for number, (component, binary) in enumerate(todo, start=1):
            _build_one(go, component, binary, f"[{number}/{len(todo)}] build {binary.name} {component.version}")


def module_folder(name: str) -> Path:
    """The folder of a component's own module, with all that it ships beside its programs; downloaded if need be.

    Raises:
        ClusterError: no Go, or the module could not be had.
    """
    component, folder = pins.component(name), paths.PACKAGE / "gomod" / name
    argv = [host.find_go(), "mod", "download", "-json", component.module]
    done = subprocess.run(
        argv, cwd=folder, env={**os.environ, "GOWORK": "off"}, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise ClusterError(f"module {component.module} could not be had\n{tail(done.stderr)}", fix=_advice(done.stderr))
    return Path(json.loads(done.stdout)["Dir"])


def command(go: str, component: pins.Component, binary: pins.Binary, output: Path) -> list[str]:
    """The `go build` of one binary, run in its component's folder."""
    argv = [go, "build", "-mod=readonly", "-trimpath", "-ldflags", component.ldflags]
    if binary.tags:
        argv += ["-tags", binary.tags]
    return [*argv, "-o", str(output), binary.package]


def _build_one(go: str, component: pins.Component, binary: pins.Binary, title: str) -> None:
    final = paths.binary_file(binary, component)
    final.parent.mkdir(parents=True, exist_ok=True)
    partial = final.with_name(f".{final.name}.partial")
    log = paths.cache() / "logs" / "build" / f"{binary.name}-{component.version}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    # CGO_ENABLED=0: the programs must run in images that hold nothing else. GOWORK=off: ours is the only go.mod.
    env = {**os.environ, "CGO_ENABLED": "0", "GOWORK": "off"}
    folder = paths.PACKAGE / "gomod" / component.name
    argv = command(go, component, binary, partial)
    try:
        with step(title, binary.seconds), log.open("w") as out:
            result = subprocess.run(argv, cwd=folder, env=env, stdout=out, stderr=out, check=False)
        if result.returncode != 0:
            raise ClusterError(
                f"building {binary.name} {component.version} failed\n{tail(log.read_text())}",
                where=str(log),
                fix=_advice(log.read_text()),
            )
        partial.rename(final)
    finally:
        partial.unlink(missing_ok=True)


def _advice(log: str) -> str:
    if "no space left" in log:
        return "free some disk space (`go clean -cache` gives back several GiB) and run it again"
    if "dial tcp" in log or "proxyconnect" in log or "TLS handshake" in log:
        return "Go modules could not be fetched: check the network and `go env GOPROXY`, then run it again"
    if "signal: killed" in log:
        return "the compiler was killed, most likely for want of memory: 4 GiB are needed; try `GOFLAGS=-p=1`"
    return "read the log; what was built so far is kept, a second run continues there"
