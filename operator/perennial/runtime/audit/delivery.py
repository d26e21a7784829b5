"""Hands the outbox over to the audit log: one Job at a time appends, and only what it has written is dropped.

All that must outlast this process is in the cluster: the outbox, the Job with what it was given, and the position that
is known to be written. After a restart the next leader goes on from there.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import uniform

from pydantic import ValidationError

from perennial.adapters.errors import ApiError, NotLeader
from perennial.api.contract.audit import AuditPosition
from perennial.api.contract.messages import AuditAppended, Failure, Message
from perennial.api.contract.settings import AgentConfigDefaults, Audit
from perennial.api.kubernetes import Job, Pod
from perennial.core.kinds import CONFIG_MAP, JOB, POD, Raw
from perennial.core.labels import AUDIT_LABEL, JOB_NAME_LABEL, MANAGED_BY_LABEL, OUTBOX_DIGEST_ANNOTATION
from perennial.core.names import FIELD_MANAGER
from perennial.core.termination import BadMessage, parse_message
from perennial.core.waiting import waiting_problem
from perennial.runtime.audit.api import APPEND, HEAD, AuditApi, listed
from perennial.runtime.audit.job import CONTAINER, append_job, batches_of
from perennial.runtime.audit.outbox import Outbox

_log = logging.getLogger(__name__)

BATCHES_AT_ONCE = 100
"""Batches of one Job, so that its pod stays small."""
ENTRIES_AT_ONCE = 100
"""So many entries are not made to wait for more."""
_POLL_SECONDS = 2.0
_SLOW_POLLS = 15
_FIRST_RETRY = 5.0
_LONGEST_RETRY = 300.0


@dataclass(frozen=True)
class Ended:
    """How a Job ended: written, or why not."""

    appended: AuditAppended | None
    reason: str = ""
    message: str = ""


class Delivery:
    """Empties the outbox into the log."""

    def __init__(
        self,
        api: AuditApi,
        outbox: Outbox,
        audit: Audit,
        agent: AgentConfigDefaults,
        namespace: str,
        *,
        on_failure: Callable[[str], None],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Nothing is read or written yet; `on_failure` is called with the reason of each Job that failed."""
        self._api = api
        self._outbox = outbox
        self._audit = audit
        self._agent = agent
        self._namespace = namespace
        self._on_failure = on_failure
        self._sleep = sleep
        self._failures = 0
        self._polls = 0
        self._may_have_job = True

    async def run(self, leading: asyncio.Event) -> None:
        """Work from when this replica leads until cancelled; an error is logged and retried."""
        await leading.wait()
        await self._load()
        while True:
            wait = await self._try_step()
            if wait is None:
                await self._outbox.filled.wait()
                await self._wait_for_more()
            else:
                await self._sleep(wait)

    async def step(self) -> float | None:
        """Take one step; return the seconds until the next one, or None if there is nothing to do.

        Raises:
            ApiError: a request failed.
            NotLeader: this process no longer holds the lease.
        """
        job = await self._job()
        if job is None:
            return await self._begin()
        parsed = Job.model_validate(job)
        if not parsed.complete and parsed.failed is None:
            await self._look_at_start(parsed)
            return _POLL_SECONDS
        ended = await self._ended(parsed, job["metadata"].get("annotations") or {})
        if ended.appended is not None:
            await self._keep_position(AuditPosition(sequence=ended.appended.sequence, hash=ended.appended.hash))
            await self._outbox.drop(batches_of(job))
            await self._delete(job)
            self._failures = 0
            _log.info(
                "%d entries appended to the audit log, which ends with line %d and hash %s",
                ended.appended.appended,
                ended.appended.sequence,
                ended.appended.hash,
            )
            return 0.0
        _log.error(
            "Job %s did not append to the audit log: %s: %s; %d entries wait and are tried again",
            parsed.metadata.name,
            ended.reason,
            ended.message,
            self._outbox.pending,
        )
        self._on_failure(ended.reason)
        self._outbox.unsure = True  # somebody may have deleted a batch, and its pod waits for it in vain
        await self._delete(job)
        return self._back_off()

    async def _look_at_start(self, job: Job) -> None:
        """Say once for each Job why its pod does not start: otherwise only its deadline would tell."""
        self._polls += 1
        if self._polls != _SLOW_POLLS:
            return
        for pod in await self._pods(job):
            problem = waiting_problem(pod)
            if problem is not None:
                _log.warning("the pod of Job %s does not start: %s", job.metadata.name, problem.message)

    async def _pods(self, job: Job) -> list[Pod]:
        selector = f"{JOB_NAME_LABEL}={job.metadata.name}"
        return [Pod.model_validate(raw) for raw in await listed(self._api, POD, self._namespace, selector)]

    async def _begin(self) -> float | None:
        if self._outbox.unsure:
            await self._outbox.load()
        await self._outbox.tell_gap()
        batches = self._outbox.oldest(BATCHES_AT_ONCE)
        if not batches:
            return None
        job = append_job(batches, await self._position(), self._audit, self._agent, self._namespace)
        self._may_have_job = True
        self._polls = 0
        await self._api.create(job, FIELD_MANAGER)
        return _POLL_SECONDS

    async def _try_step(self) -> float | None:
        try:
            return await self.step()
        except NotLeader:
            return _FIRST_RETRY
        except ApiError as error:
            _log.warning("the outbox of the audit log is not handed over now: %s; retrying", error)
            return self._back_off()
        except Exception:
            _log.exception("the outbox of the audit log is not handed over because of a bug in the operator; retrying")
            return self._back_off()

    async def _load(self) -> None:
        while True:
            try:
                await self._outbox.load()
            except ApiError as error:
                _log.warning("the outbox of the audit log cannot be read: %s; retrying", error)
                await self._sleep(self._back_off())
            else:
                self._failures = 0
                return

    async def _wait_for_more(self) -> None:
        left = self._audit.batch_seconds
        while left > 0 and self._outbox.pending < ENTRIES_AT_ONCE:
            await self._sleep(min(1.0, left))
            left -= 1.0

    def _back_off(self) -> float:
        self._failures += 1
        wait = min(_LONGEST_RETRY, _FIRST_RETRY * 2.0 ** min(self._failures - 1, 10))
        return wait * uniform(0.8, 1.2)  # noqa: S311 - spreads load, keeps no secret

    async def _job(self) -> Raw | None:
        if not self._may_have_job:
            return None
        found = await listed(self._api, JOB, self._namespace, APPEND)
        self._may_have_job = bool(found)
        return found[0] if found else None

    async def _ended(self, job: Job, annotations: dict[str, str]) -> Ended:
        messages = [message for pod in await self._pods(job) if (message := _message(pod)) is not None]
        wanted = annotations.get(OUTBOX_DIGEST_ANNOTATION)
        for message in messages:
            if isinstance(message, AuditAppended) and message.outbox == wanted:
                return Ended(message)
        for message in messages:
            if isinstance(message, Failure):
                return Ended(None, message.reason, message.message)
        failed = job.failed
        if failed is not None:
            return Ended(None, failed.reason or "JobFailed", failed.message or "its pods told no reason")
        return Ended(None, "MessageLost", "its pod is gone, or has read other entries than it was given")

    async def _position(self) -> AuditPosition | None:
        """Return the last known position of this log; None if there is none."""
        raw = await self._api.get(CONFIG_MAP, self._namespace, HEAD)
        data = (raw or {}).get("data") or {}
        if data.get("uri") != self._audit.uri:
            return None
        try:
            return AuditPosition(sequence=int(data.get("sequence", "")), hash=data.get("hash", ""))
        except (ValidationError, ValueError):
            _log.warning("ConfigMap %s is not as it was written: the end of the audit log is not checked", HEAD)
            return None

    async def _keep_position(self, at: AuditPosition) -> None:
        manifest = {
            "apiVersion": CONFIG_MAP.api_version,
            "kind": CONFIG_MAP.kind,
            "metadata": {
                "name": HEAD,
                "namespace": self._namespace,
                "labels": {MANAGED_BY_LABEL: "perennial", AUDIT_LABEL: "head"},
            },
            "data": {"uri": self._audit.uri, "sequence": str(at.sequence), "hash": at.hash},
        }
        known = await self._api.get(CONFIG_MAP, self._namespace, HEAD)
        if known is None:
            await self._api.create(manifest, FIELD_MANAGER)
        elif known.get("data") != manifest["data"]:
            await self._api.merge(manifest, FIELD_MANAGER)

    async def _delete(self, job: Raw) -> None:
        metadata = job["metadata"]
        try:
            await self._api.delete(JOB, self._namespace, metadata["name"], metadata["uid"])
        except ApiError as error:
            if not error.not_found:
                raise


def _message(pod: Pod) -> Message | None:
    """Return what the agent's container has told at its end; None if nothing that can be read."""
    status = pod.container(CONTAINER)
    ended = status.ended if status is not None else None
    try:
        return parse_message(ended.message) if ended is not None else None
    except BadMessage:
        return None
