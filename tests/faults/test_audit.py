"""The audit log on a real API server, with the operator killed after each kind of write that hands a fact over."""

import asyncio
import signal
from datetime import UTC, datetime

from perennial.core.kinds import CONFIG_MAP, JOB, POD, TRAINING_JOB
from perennial.runtime.audit.api import APPEND, HEAD
from perennial.runtime.audit.job import CONTAINER, batches_of
from tests.support.audit import LOG, AuditSite
from tests.support.harness import Harness, Stages
from tests.support.kube import eventually
from tests.support.kubelet import ended
from tests.support.proxy import Write
from tests.support.scenarios import train, training_spec

AUDIT = {"audit": {"uri": LOG, "batchSeconds": 0}}
WANTED = ["ArtifactAccepted", "RunStarted", "RunSucceeded"]


class Crashes:
    """Kills the operator after the first write of each kind, and starts it again."""

    def __init__(self, env: Harness) -> None:
        self._env = env
        self.seen: list[str] = []
        self._back: asyncio.Task[None] | None = None

    async def __call__(self, write: Write) -> bool:
        kind = f"{write.method} {_title(write.path)}"
        if "perennial-audit" not in f"{write.path}{write.body}" or kind in self.seen:
            return False
        if self._back is not None:
            await self._back
        self.seen.append(kind)
        self._env.operator.signal(signal.SIGKILL)
        self._back = asyncio.create_task(self._restart())
        return True

    async def _restart(self) -> None:
        await self._env.operator.wait()
        await self._env.operator.start()


def _title(path: str) -> str:
    plural = "jobs" if "/jobs" in path else "configmaps"
    return f"{plural} {HEAD}" if path.endswith(HEAD) else plural


async def run_pods(env: Harness, site: AuditSite) -> None:
    """Play the kubelet for the pods that append."""
    while True:
        for pod in await env.kube.list(POD, env.namespace, APPEND):
            if pod["status"].get("phase") != "Pending" or "deletionTimestamp" in pod["metadata"]:
                continue
            name = pod["metadata"]["labels"]["batch.kubernetes.io/job-name"]
            job = await env.kube.get(JOB, env.namespace, name)
            if job is None:
                continue
            mounted = {item: await env.kube.get(CONFIG_MAP, env.namespace, item) for item in batches_of(job)}
            text, code = site.end_of(job, mounted, datetime.now(UTC))
            await env.kubelet.set(pod, "Succeeded" if code == 0 else "Failed", [ended(CONTAINER, code, text)])
        await asyncio.sleep(0.2)


async def test_every_fact_is_in_the_log_once_whatever_write_the_operator_died_after(harness: Stages) -> None:
    async with harness(AUDIT) as env:
        site = AuditSite(env.folder / "outbox")
        crashes = Crashes(env)
        env.proxy.after = crashes
        pods = asyncio.create_task(run_pods(env, site))
        try:
            await env.create(TRAINING_JOB, "churn", training_spec())
            await train(env, "churn-1-0", "a")

            async def written() -> bool:
                assert not pods.done(), pods.exception()
                left = await env.kube.list(CONFIG_MAP, env.namespace, "perennial.dev/audit=batch")
                jobs = await env.kube.list(JOB, env.namespace, APPEND)
                return not left and not jobs and len(site.entries) >= len(WANTED)

            await eventually(written, "everything is in the log", 120)
        finally:
            pods.cancel()
        assert len(crashes.seen) >= 4, crashes.seen
        assert sorted(entry["event"] for entry in site.entries) == WANTED
        report = site.verified()
        head = await env.get(CONFIG_MAP, HEAD)
        assert report.last is not None
        assert (report.result, head["data"]["hash"]) == ("Intact", report.last.hash)
        assert "denied" not in env.operator.log.read_text()
