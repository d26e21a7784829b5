"""Mirrors a checkpoint folder to the storage while training runs.

A checkpoint is complete or not there: its files are uploaded first, under the sha256 of their content, and the document
that lists them last. It is only taken of a folder in which nothing has changed from before the first file was read
until after the last was uploaded. A failure is told as a warning of the run, and never ends the training.
"""

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Thread

from perennial.agent.artifact.digest import file_sha256
from perennial.agent.checkpoint.look import RESTORED, Look, Restored, Seen, look
from perennial.agent.checkpoint.place import FOLDER, MANIFEST, RECORD, object_uri, worker_uri
from perennial.agent.storage.client import ObjectStore, join_uri, naming
from perennial.agent.storage.errors import AgentError
from perennial.agent.storage.parallel import FILE_THREADS, in_parallel
from perennial.agent.storage.retry import Retry
from perennial.agent.text import clipped
from perennial.api.contract.checkpoint import CheckpointManifest, CheckpointPlace
from perennial.api.contract.manifest import FileEntry
from perennial.api.contract.messages import CheckpointState
from perennial.core.times import format_time

log = logging.getLogger(__name__)

SETTLE_SECONDS = 1.0
"""Time in which nothing may change before a checkpoint is taken."""
_LOOKS = 5
"""Looks of one step at a folder that keeps changing."""
_RETRY_SECONDS = 60.0
"""How long the storage may be unavailable in one step."""


class Mirror:
    """The checkpoint of one worker in one attempt, as far as it is in the storage."""

    def __init__(
        self,
        root: Path,
        place: CheckpointPlace,
        worker: int,
        store: ObjectStore,
        *,
        pause: Callable[[float], object] = time.sleep,
        retry_seconds: float = _RETRY_SECONDS,
    ) -> None:
        """Mirror `<root>/checkpoint`; `pause` waits for so many seconds."""
        self._folder = root / FOLDER
        restored = _restored(root / RECORD)
        self._shared, self._resumed = restored.shared, restored.time
        self._place, self._worker, self._store = place, worker, store
        self._uri = worker_uri(place, place.attempt, worker)
        self._pause = pause
        self._retry_seconds = retry_seconds
        self._taken: Look = restored.own
        self._hashes: Mapping[str, tuple[Seen, str]] = {}
        self._stored: frozenset[str] = frozenset()
        self._kept: str | None = None
        self._problem: str | None = None

    def state(self) -> CheckpointState:
        """Return what is known of the checkpoints of this attempt."""
        return CheckpointState(
            resumed=self._resumed, kept=self._kept, problem=clipped(self._problem) if self._problem else None
        )

    def step(self) -> bool:
        """Take a checkpoint if there is a new one that is complete; tell whether one was taken."""
        try:
            with naming(str(self._folder)):
                return self._step()
        except AgentError as error:
            self._note(f"the checkpoint cannot be kept: {error.message}")
            return False

    def _step(self) -> bool:
        for _ in range(_LOOKS):
            files = self._look()
            if not files or files == self._taken:
                self._problem = None
                return False
            self._pause(SETTLE_SECONDS)
            if self._look() == files and self._take(files):
                self._problem = None
                return True
        self._note(
            "the files of the checkpoint keep changing, so no complete one was found: write a file under a name that "
            "begins with a dot, and rename it when it is complete"
        )
        return False

    def _look(self) -> Look:
        return {name: seen for name, seen in look(self._folder).items() if self._shared.get(name) != seen}

    def _take(self, files: Look) -> bool:
        """Upload a checkpoint; False if its files have changed meanwhile."""
        retry = Retry(self._retry_seconds)
        try:
            hashes = {name: (seen, self._sha256(name, seen)) for name, seen in files.items()}
            wanted = {sha256: name for name, (_, sha256) in hashes.items()}
            new = [(sha256, name) for sha256, name in wanted.items() if sha256 not in self._stored]
            self._upload(new, retry)
        except (AgentError, OSError):
            if self._look() != files:
                return False  # code that keeps the last few checkpoints deletes others at any moment
            raise
        if self._look() != files:
            return False  # what was uploaded may be half of the old file and half of the new one
        manifest = self._manifest(hashes)
        document = manifest.model_dump_json(by_alias=True).encode()
        retry(lambda: self._store.put_bytes(join_uri(self._uri, MANIFEST), document, "application/json"))
        outdated = self._stored - wanted.keys()
        self._taken, self._hashes, self._stored, self._kept = files, hashes, frozenset(wanted), manifest.time
        size = sum(seen.size for seen in files.values())
        log.info("checkpoint: %d files, %d bytes, %d files uploaded, to %s", len(files), size, len(new), self._uri)
        self._delete(outdated)
        return True

    def _upload(self, new: Sequence[tuple[str, str]], retry: Retry) -> None:
        def one(item: tuple[str, str]) -> None:
            sha256, name = item
            retry(lambda: self._store.upload(self._folder / name, object_uri(self._uri, sha256), sha256))

        for _ in in_parallel(one, new, FILE_THREADS, Event()):
            pass

    def _sha256(self, name: str, seen: Seen) -> str:
        known = self._hashes.get(name)
        return known[1] if known is not None and known[0] == seen else file_sha256(self._folder / name)

    def _manifest(self, hashes: Mapping[str, tuple[Seen, str]]) -> CheckpointManifest:
        return CheckpointManifest(
            run=self._place.run,
            attempt=self._place.attempt,
            worker=self._worker,
            time=format_time(datetime.now(UTC)),
            files=tuple(FileEntry(path=name, size=seen.size, sha256=sha) for name, (seen, sha) in hashes.items()),
        )

    def _delete(self, outdated: frozenset[str]) -> None:
        """Delete files of the checkpoint before; what stays costs storage only, until the next run."""
        try:
            for sha256 in outdated:
                self._store.delete(object_uri(self._uri, sha256))
        except AgentError as error:
            log.warning("files of an earlier checkpoint stay in the storage: %s", error.message)

    def _note(self, problem: str) -> None:
        if problem != self._problem:
            log.warning("%s", problem)
        self._problem = problem


@contextmanager
def mirroring(mirror: Mirror, every: float) -> Iterator[None]:
    """Take checkpoints at an interval, in seconds, until the context ends, and a last one at its end.

    The last one matters most: code that is told to stop, because its node goes away, writes it.
    """
    ended = Event()

    def work() -> None:
        while not ended.wait(every):
            mirror.step()

    thread = Thread(target=work, name="checkpoint", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        mirror.step()


@contextmanager
def checkpoints(
    root: Path, place: CheckpointPlace | None, worker: int, store: ObjectStore
) -> Iterator[Callable[[], CheckpointState | None]]:
    """Keep the checkpoints of an attempt until the context ends; yields what tells their state.

    Args:
        root: of the pod's volume.
        place: where they belong. None: they are not kept, and have no state.
        worker: index of this worker.
        store: their storage.
    """
    if place is None:
        yield lambda: None
        return
    mirror = Mirror(root, place, worker, store)
    with mirroring(mirror, place.every):
        yield mirror.state


def _restored(path: Path) -> Restored:
    """Read what `restore` has noted. The training code can change it: it decides only which files are new."""
    try:
        return RESTORED.validate_json(path.read_bytes())
    except (OSError, ValueError):
        return Restored()
