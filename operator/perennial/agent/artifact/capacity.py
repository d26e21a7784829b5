"""Whether a model fits the volume that is to hold it, told before the first byte comes."""

import shutil
from pathlib import Path

from perennial.agent.storage.errors import AgentError
from perennial.api.contract.commands import FetchModel
from perennial.core.failures import OUT_OF_SPACE


def check_room(config: FetchModel, folder: Path, whole: int, missing: int) -> None:
    """Hold a model to the volume's limit and to what the disk has left.

    Args:
        config: with the most bytes that the volume may hold, if it has a limit.
        folder: where the model goes; it is there.
        whole: bytes of the model.
        missing: bytes of it that are still to come.

    Raises:
        AgentError: OutOfSpace.
    """
    if config.most_bytes is not None and whole > config.most_bytes:
        raise AgentError(
            OUT_OF_SPACE,
            f"the model has {whole} bytes, and the volume may hold {config.most_bytes} (workspace.sizeLimit)",
        )
    free = shutil.disk_usage(folder).free
    if missing > free:
        raise AgentError(OUT_OF_SPACE, f"{missing} bytes of the model are to come, and the disk has {free} left")
