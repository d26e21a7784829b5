"""`python -m tools.demo up|down`: what `make demo` and `make demo-down` run."""

import argparse
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tools.cluster.errors import ClusterError
from tools.cluster.interrupt import interruptible
from tools.cluster.progress import say
from tools.demo import down, up
from tools.demo.choice import NoChoice, Wish, from_environment

FAILED, USAGE, INTERRUPTED = 1, 2, 130


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run the demo or take it away; 0 done, 1 failed, 2 a decision is missing, 130 interrupted."""
    options = parser().parse_args(arguments)
    wish = from_environment(
        Wish(options.cluster, options.kubeconfig, options.context, options.push, options.load_command), environment
    )
    try:
        with interruptible():
            if options.verb == "up":
                up.run(wish)
            else:
                down.run(wish, crds=options.crds)
    except NoChoice as error:
        say(f"perennial: {error}")
        return USAGE
    except (ClusterError, OSError, subprocess.SubprocessError) as error:
        say(f"\nperennial: {options.verb} failed: {error}")
        if options.verb == "up":
            say("What was made stays, to be looked at; `make demo` tries again, `make demo-down` takes it away.")
        return FAILED
    except KeyboardInterrupt:
        say("\ninterrupted. `make demo` starts over; `make demo-down` takes away what was made.")
        return INTERRUPTED
    return 0


def parser() -> argparse.ArgumentParser:
    """Return both verbs with their options."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--cluster", choices=("own", "kind", "embedded"), help="default: own if KUBECONFIG or --context names one"
    )
    common.add_argument("--kubeconfig", type=Path, help="a cluster of yours (default: KUBECONFIG)")
    common.add_argument("--context", help="a context of the kubeconfig")
    common.add_argument("--push", metavar="REGISTRY", help="own cluster: push the images there")
    common.add_argument("--load-command", metavar="CMD", help="own cluster: run for each image; {archive}, {name}")
    top = argparse.ArgumentParser(prog="python -m tools.demo", description="The whole loop on a real cluster.")
    verbs = top.add_subparsers(dest="verb", required=True, metavar="up|down")
    verbs.add_parser("up", parents=[common], help="run the demo")
    made = verbs.add_parser("down", parents=[common], help="take away all that it made")
    made.add_argument("--crds", action="store_true", help="own cluster: the CRDs, too, with everyone's resources")
    return top


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
