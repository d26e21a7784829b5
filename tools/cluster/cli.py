"""The command line: `python3 -m tools.cluster <verb>`."""

import argparse
import dataclasses
import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tools.cluster import api, gobuild, paths, pins, teardown
from tools.cluster.errors import ClusterError
from tools.cluster.interrupt import interruptible
from tools.cluster.progress import say
from tools.cluster.status import names, status

INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one verb; 0 when done, 1 on a failure that is explained, 130 when interrupted."""
    options = parser().parse_args(arguments)
    try:
        with interruptible():
            return int(options.run(options))
    except ClusterError as error:
        say(f"error: {error}")
        return 1
    except (OSError, subprocess.SubprocessError) as error:
        # The machine's refusals that no check foresaw: the text names the file or the program.
        say(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        say("interrupted; nothing is left behind")
        return INTERRUPTED


def parser() -> argparse.ArgumentParser:
    """All verbs and their options."""
    top = argparse.ArgumentParser(prog="python3 -m tools.cluster", description="A real Kubernetes without Docker.")
    verbs = top.add_subparsers(required=True, metavar="VERB")

    def verb(name: str, run: object, text: str, *, named: bool = True) -> argparse.ArgumentParser:
        made = verbs.add_parser(name, help=text, description=text)
        made.set_defaults(run=run)
        if named:
            made.add_argument("--name", default="dev", help="of the cluster (default: dev)")
        return made

    made = verb("build", _build, "build the pinned programs, or some of them, into the cache", named=False)
    made.add_argument("component", nargs="*", help="default: all")
    made.add_argument("--print-path", metavar="PROGRAM", help="build if needed, and print where the program is")
    made = verb("up", _up, "bring a cluster up, and print its kubeconfig's path")
    made.add_argument("--nodes", type=int, default=1, help="nodes with a real kubelet (default: 1)")
    made.add_argument("--kwok-nodes", type=int, default=0, help="nodes that only pretend, for scale")
    made.add_argument("--control-plane-only", action="store_true", help="no node at all; up in a few seconds")
    made.add_argument("--no-install", action="store_true", help="never install Debian packages")
    made = verb("down", _down, "remove a cluster, or what is left of one")
    made.add_argument("--all", action="store_true", help="remove every cluster")
    made = verb("status", _status, "tell what is up")
    made.set_defaults(name=None)
    made.add_argument("-o", "--output", choices=("text", "json"), default="text")
    verb("kubeconfig", _kubeconfig, "print the path of a cluster's kubeconfig")
    verb("logs", _logs, "print the folder of a cluster's logs")
    made = verb("load-image", _load, "load OCI or Docker archives into every node")
    made.add_argument("archive", nargs="+", type=Path)
    return top


def _build(options: argparse.Namespace) -> int:
    if options.print_path:
        print(api.binary(options.print_path))
        return 0
    gobuild.build(options.component or [component.name for component in pins.COMPONENTS])
    return 0


def _up(options: argparse.Namespace) -> int:
    cluster = api.up(
        options.name,
        nodes=options.nodes,
        kwok_nodes=options.kwok_nodes,
        control_plane_only=options.control_plane_only,
        install=not options.no_install,
    )
    say(f"try: export KUBECONFIG={cluster.kubeconfig}; {paths.binary('kubectl')} get pods -A")
    print(cluster.kubeconfig)
    return 0


def _down(options: argparse.Namespace) -> int:
    failed = 0
    for name in names() if options.all else [options.name]:
        try:
            existed = teardown.down(name)
        except ClusterError as error:
            # The others shall go all the same.
            failed = 1
            say(f"error: {error}")
        else:
            say(f"cluster {name} is removed" if existed else f"there is no cluster {name}")
    return failed


def _status(options: argparse.Namespace) -> int:
    found = [status(name) for name in ([options.name] if options.name else names())]
    if options.output == "json":
        print(json.dumps([dataclasses.asdict(one) for one in found], indent=1))
    elif not found:
        print("no clusters")
    else:
        for one in found:
            addresses = f", API https://{one.plan.network.api}:6443" if one.plan else ""
            ready = f", {len(one.ready_nodes)} ready nodes" if one.ready_nodes else ""
            print(f"{one.name}: {one.state} ({one.detail}{ready}{addresses})")
    healthy = all(one.state == "running" for one in found)
    return 0 if healthy or not options.name else 1


def _kubeconfig(options: argparse.Namespace) -> int:
    cluster = api.get(options.name)
    if cluster is None:
        raise ClusterError(
            f"cluster {options.name}: {status(options.name).detail}",
            fix=f"`python3 -m tools.cluster up --name {options.name}`",
        )
    print(cluster.kubeconfig)
    return 0


def _logs(options: argparse.Namespace) -> int:
    state = paths.state_dir(options.name)
    print(state / "log" if state.exists() else paths.logs_dir(options.name))
    return 0


def _load(options: argparse.Namespace) -> int:
    for archive in options.archive:
        for name in api.load_image(options.name, archive):
            say(f"loaded {name}")
    return 0
