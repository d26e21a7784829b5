"""Names of the columns of predictions, and which columns of a response are the prediction."""

from collections.abc import Sequence

from perennial.stats.intervals import Undefined

ID = "@id"
OUTPUT = "@output"
GROUP = "@group"
LABEL = "@label"
"""Internal columns; the @ avoids collisions with columns of the data."""


def output_columns(names: Sequence[str], output: str | None) -> dict[str, str]:
    """Map the columns with the prediction to their internal names.

    Args:
        names: columns of a response.
        output: predictions.output; None: the only output.

    Raises:
        Undefined: there is no output of that name, or several and none was chosen.
    """
    tensors = dict.fromkeys(tensor_of(name) for name in names)
    chosen = output or next(iter(tensors), "")
    if output is None and len(tensors) > 1:
        raise Undefined(f"responses have several outputs ({', '.join(list(tensors)[:5])}): set predictions.output")
    found = {name: OUTPUT + name.removeprefix(chosen) for name in names if name == chosen or tensor_of(name) == chosen}
    if not found:
        raise Undefined(f"there is no output {chosen}: set predictions.output to one of {', '.join(list(tensors)[:5])}")
    return found


def tensor_of(name: str) -> str:
    """Return the name of a column's tensor: `p` for `p.0`."""
    head, dot, tail = name.rpartition(".")
    return head if dot and tail.isdigit() else name
