"""Entry point of `perennial operator` and `perennial agent`, which share one image."""

import os
import signal
import sys

USAGE = """usage: perennial operator --config FILE [--kubeconfig FILE] [--context NAME]
       perennial agent fetch|publish|capture|poll|drift|evaluate|replay|show|trace|evidence|audit
       perennial agent audit append|verify|show [--help]
       perennial --version"""


def main() -> int:
    """Run the operator or an agent command; return the exit status, 2 for wrong usage."""
    arguments = sys.argv[1:]
    # Imported on demand: an agent must start in a fraction of a second.
    if arguments[:1] == ["agent"]:
        return _agent(arguments[1:])
    if arguments[:1] == ["operator"]:
        from perennial.runtime.process.app import main as operator

        return operator(arguments[1:])
    if arguments == ["--version"]:
        from perennial import __version__

        sys.stdout.write(f"{__version__}\n")
        return 0
    sys.stderr.write(f"{USAGE}\n")
    return 0 if arguments in (["--help"], ["-h"]) else 2


def _agent(arguments: list[str]) -> int:
    # Before any slow import: process 1 ignores a SIGTERM that it neither blocks nor handles.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    from perennial.agent.cli import main as agent

    code = agent(arguments)
    sys.stdout.flush()
    sys.stderr.flush()
    # Returning would wait for the threads of transfers that continue after another one has failed.
    os._exit(code)


if __name__ == "__main__":
    sys.exit(main())
