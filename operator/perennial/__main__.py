"""`perennial operator` and `perennial agent`: one program, since one image serves both."""

import sys

USAGE = """usage: perennial operator --config FILE [--kubeconfig FILE] [--context NAME]
       perennial agent fetch|publish|capture|drift
       perennial --version"""


def main() -> int:
    """Run the part that is asked for; return its exit status."""
    arguments = sys.argv[1:]
    # Each part is loaded only when asked for: an agent must start in a fraction of a second.
    if arguments[:1] == ["agent"]:
        from perennial.agent.cli import main as agent

        return agent(arguments[1:])
    if arguments[:1] == ["operator"]:
        from perennial.runtime.app import main as operator

        return operator(arguments[1:])
    if arguments == ["--version"]:
        from perennial import __version__

        sys.stdout.write(f"{__version__}\n")
        return 0
    sys.stderr.write(f"{USAGE}\n")
    return 0 if arguments in (["--help"], ["-h"]) else 2


if __name__ == "__main__":
    sys.exit(main())
