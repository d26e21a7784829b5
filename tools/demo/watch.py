"""Watch the three resources, print what changes, and wait until something is so."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from tools.cluster.errors import ClusterError
from tools.cluster.progress import HEARTBEAT_SECONDS, duration
from tools.demo import diagnosis
from tools.demo.kubectl import Kubectl
from tools.demo.timeline import Snapshot, lines

POLL_SECONDS = 1.5
_MARGIN = " " * len("00:00:00  +0:00")


@dataclass
class Watch:
    """What was seen last, so that only changes are told."""

    kubectl: Kubectl
    namespace: str
    started: float = field(default_factory=time.monotonic)
    seen: Snapshot | None = None

    def tell(self, text: str) -> None:
        """Print one line of the timeline, with the time since its start; leading spaces continue the last one."""
        if text.startswith(" "):
            print(f"{_MARGIN}{text}", flush=True)
            return
        passed = round(time.monotonic() - self.started)
        now = datetime.now(UTC).strftime("%H:%M:%S")
        print(f"{now}  +{passed // 60}:{passed % 60:02d}  {text}", flush=True)

    def look(self) -> Snapshot:
        """Read the resources, and tell what has changed.

        Raises:
            ClusterError: the cluster does not answer.
        """
        now = self._read()
        for line in lines(self.seen, now):
            self.tell(line)
        self.seen = now
        return now

    def until(
        self, what: str, so: Callable[[Snapshot], bool], seconds: float, given_up: Callable[[Snapshot], str | None]
    ) -> Snapshot:
        """Tell what happens until something is so.

        Args:
            what: what is waited for, in words that follow "waiting for".
            so: whether it is.
            seconds: how long that may take.
            given_up: why it can no longer become so, or None.

        Raises:
            ClusterError: it took too long, or has become impossible; holds what the cluster knows about it.
        """
        start = spoken = time.monotonic()
        while True:
            before = self.seen
            now = self.look()
            if so(now):
                return now
            moment = time.monotonic()
            if self.seen != before:
                spoken = moment
            if reason := given_up(now):
                self._fail(f"{what}: {reason}")
            if moment - start > seconds:
                self._fail(f"{what} did not come within {duration(seconds)}")
            if moment - spoken > HEARTBEAT_SECONDS:
                spoken = moment
                self.tell(f"… waiting for {what} ({duration(moment - start)} of at most {duration(seconds)})")
            time.sleep(POLL_SECONDS)

    def _fail(self, what: str) -> None:
        raise ClusterError(
            f"{what}\n{diagnosis.report(self.kubectl, self.namespace)}",
            where=f"namespace {self.namespace}",
            fix=f"`{self.kubectl.words()} describe tj,md,dm -n {self.namespace}` says more",
        )

    def _read(self) -> Snapshot:
        found = self.kubectl.get("trainingjobs,modeldeployments,driftmonitors", "-n", self.namespace) or {}
        return Snapshot.of(found.get("items", []))
