"""Writes bytes to standard output so that they pass through a container's log unharmed."""

import base64
import gzip
from textwrap import wrap
from typing import TextIO

from perennial.api.contract.messages import SHOWN_PREFIX

_WIDTH = 4096


def write_shown(content: bytes, out: TextIO) -> None:
    """Write bytes as gzip in base64; each line begins with a prefix that log lines do not have."""
    data = gzip.compress(content, mtime=0)
    out.writelines(f"{SHOWN_PREFIX}{line}\n" for line in wrap(base64.b64encode(data).decode(), _WIDTH))
    out.write(f"{SHOWN_PREFIX}\n")
