"""Names of what is kept of a run's checkpoints.

Below the URI of a TrainingJob: `<number of the run>/<run>/<attempt>/<worker>/` with `checkpoint.json`, which is written
last, and `objects/<sha256>`. An attempt writes into its own folder only, so that a pod of an earlier one that is still
alive on a node that has lost its connection changes nothing.
"""

import re

from perennial.agent.storage.client import join_uri
from perennial.api.contract.checkpoint import CheckpointPlace

FOLDER = "checkpoint"
"""Below the root of the pod's volume."""
RECORD = ".perennial/checkpoint.json"
"""What was restored, as `look.Restored`: `restore` writes it, for the mirror."""
NAMES = re.compile(r"(?P<number>[0-9]{1,9})/(?P<run>[^/]+)/(?P<attempt>[0-9]{1,9})/[0-9]{1,9}/")
"""How the objects below the URI of a TrainingJob begin."""
MANIFEST = "checkpoint.json"
MANIFEST_LIMIT = 16 * 2**20


def worker_uri(place: CheckpointPlace, attempt: int, worker: int) -> str:
    """Return the folder of one worker in one attempt."""
    return join_uri(place.uri, f"{place.number}/{place.run}/{attempt}/{worker}")


def object_uri(folder: str, sha256: str) -> str:
    """Return where a file with this content is, below a worker's folder."""
    return join_uri(folder, f"objects/{sha256}")
