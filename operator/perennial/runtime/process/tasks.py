"""How the parts of the process end: by an error of one of them, or when they are cancelled."""

import asyncio
from collections.abc import Sequence
from typing import Any


def raise_cause(done: set[asyncio.Task[Any]]) -> None:
    """Raise the error that ended a part, with the name of the part."""
    for task in done:
        error = task.exception()
        if error is not None:
            error.add_note(f"in: {task.get_name()}")
            raise error
    names = ", ".join(task.get_name() for task in done)
    raise RuntimeError(f"{names} ended unexpectedly")


async def cancel(tasks: Sequence[asyncio.Task[Any]]) -> None:
    """Cancel parts, and wait until they have ended."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
