"""`perennial operator` and `perennial agent`: one program, since one image serves both."""

import os
import signal
import sys

USAGE = """usage: perennial operator --config FILE [--kubeconfig FILE] [--context NAME]
       perennial agent fetch|publish|capture|drift
       perennial --version"""


def main() -> int:
    """Run the part that is asked for; return its exit status."""
    arguments = sys.argv[1:]
    # Each part is loaded only when asked for: an agent must start in a fraction of a second.
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
    # First of all, and before anything is loaded: as process 1, a SIGTERM that nobody waits for would be lost.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    from perennial.agent.cli import main as agent

    code = agent(arguments)
    sys.stdout.flush()
    sys.stderr.flush()
    # Not by returning: that would wait for transfers that still run in threads after another one has failed.
    os._exit(code)


if __name__ == "__main__":
    sys.exit(main())
