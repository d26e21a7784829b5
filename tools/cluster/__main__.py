"""Entry point of `python3 -m tools.cluster`."""

import sys

from tools.cluster.cli import main

sys.exit(main())
