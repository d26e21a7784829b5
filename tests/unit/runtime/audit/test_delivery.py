import asyncio
from pathlib import Path
from typing import Any

import pytest

from perennial.api.contract.messages import Failure
from perennial.api.contract.settings import AgentConfigDefaults, Audit
from perennial.core.kinds import CONFIG_MAP, JOB
from perennial.runtime.audit.delivery import Delivery
from perennial.runtime.audit.outbox import Outbox
from tests.support.audit import LOG, NAMESPACE, AuditSite
from tests.support.memory import FakeCluster, refusal
from tests.unit.agent.audit.support import entry


class Bench:
    """Outbox, delivery and the site of the pods, in memory."""

    def __init__(self, folder: Path, **audit: Any) -> None:
        self.cluster = FakeCluster()
        self.failed: list[str] = []
        self.slept: list[float] = []
        self.site = AuditSite(folder)
        self.audit = Audit.model_validate({"uri": LOG, **audit})
        self.start()

    def start(self) -> None:
        """Begin again, as after a restart of the operator."""
        self.outbox = Outbox(self.cluster, NAMESPACE, lambda: self.cluster.store.now, lambda _: None)
        self.delivery = Delivery(
            self.cluster,
            self.outbox,
            self.audit,
            AgentConfigDefaults(),
            NAMESPACE,
            on_failure=self.failed.append,
            sleep=self._sleep,
        )
        self.outbox.unsure = True

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.site.run_jobs(self.cluster.store)
        await asyncio.sleep(0)

    async def record(self, *numbers: int) -> None:
        await self.outbox.record(tuple(entry(number) for number in numbers))

    async def steps(self, number: int) -> list[float | None]:
        found = []
        for _ in range(number):
            found.append(await self.delivery.step())
            self.site.run_jobs(self.cluster.store)
        return found

    @property
    def numbers(self) -> list[int]:
        return [raw["generation"] for raw in self.site.entries]

    @property
    def job(self) -> Any:
        (job,) = self.cluster.store.named(JOB, NAMESPACE).values()
        return job


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path / "outbox")


async def test_without_facts_nothing_is_written(bench: Bench) -> None:
    assert await bench.steps(2) == [None, None]
    assert bench.cluster.writes == []


async def test_what_was_written_is_dropped_and_the_position_kept(bench: Bench) -> None:
    await bench.record(1, 2)
    await bench.record(3)

    assert await bench.steps(3) == [2.0, 0.0, None]

    assert bench.numbers == [1, 2, 3]
    assert list(bench.cluster.store.named(CONFIG_MAP, NAMESPACE)) == ["perennial-audit-head"]
    head = bench.cluster.live("ConfigMap", "perennial-audit-head", NAMESPACE)["data"]
    assert (head["uri"], head["sequence"]) == (LOG, "3")
    assert not bench.cluster.store.named(JOB, NAMESPACE)


async def test_facts_that_come_meanwhile_wait_for_the_next_job(bench: Bench) -> None:
    await bench.record(1)
    await bench.steps(1)
    await bench.record(2)
    assert await bench.steps(1) == [0.0]
    assert (bench.numbers, bench.outbox.pending) == ([1], 1)

    await bench.steps(2)

    assert bench.numbers == [1, 2]
    assert bench.site.expected[1].sequence == 1


async def test_a_failed_job_is_told_and_tried_again_later(bench: Bench) -> None:
    await bench.record(1)
    bench.site.failure = Failure(reason="EndpointUnreachable", message="the endpoint does not answer")
    first = await bench.steps(2)
    second = await bench.steps(2)
    assert bench.failed == ["EndpointUnreachable"] * 2
    assert (first[1] or 0) < 7 < (second[1] or 0)
    assert bench.outbox.pending == 1

    bench.site.failure = None
    await bench.steps(2)

    assert (bench.numbers, bench.outbox.pending) == ([1], 0)


async def test_a_lost_message_is_repeated_without_a_second_line(bench: Bench) -> None:
    await bench.record(1)
    await bench.steps(1)
    for name in list(bench.cluster.store.named("Pod", NAMESPACE)):
        bench.cluster.store.remove("Pod", name, NAMESPACE)

    await bench.steps(3)

    assert bench.failed == ["MessageLost"]
    assert (bench.numbers, bench.outbox.pending) == ([1], 0)


async def test_a_message_about_other_entries_drops_nothing(bench: Bench) -> None:
    await bench.record(1)
    await bench.steps(1)
    bench.job["metadata"]["annotations"]["perennial.dev/outbox-digest"] = f"sha256:{'0' * 64}"

    await bench.steps(1)

    assert (bench.failed, bench.outbox.pending) == (["MessageLost"], 1)


async def test_an_end_that_was_cut_off_stops_the_log(bench: Bench) -> None:
    await bench.record(1, 2)
    await bench.steps(2)
    bench.site.log.objects.clear()
    await bench.record(3)

    await bench.steps(2)

    assert bench.failed == ["AuditLogBroken"]
    assert (bench.numbers, bench.outbox.pending) == ([], 1)


async def test_another_uri_begins_another_log(bench: Bench) -> None:
    await bench.record(1)
    await bench.steps(2)
    bench.audit = Audit(uri="s3://audit/other/", lock_days=7)
    bench.start()
    await bench.record(2)

    await bench.steps(1)

    assert bench.site.expected[-1] is None
    assert '"days":7' in bench.job["spec"]["template"]["spec"]["containers"][0]["env"][0]["value"]


async def test_secret_account_and_registry_are_those_of_the_settings(tmp_path: Path) -> None:
    bench = Bench(
        tmp_path / "outbox",
        storage={"secretName": "audit-s3"},
        serviceAccountName="audit",
        imagePullSecrets=[{"name": "registry"}],
    )
    await bench.record(1)
    await bench.delivery.step()

    pod = bench.job["spec"]["template"]["spec"]

    assert (pod["serviceAccountName"], pod["imagePullSecrets"]) == ("audit", [{"name": "registry"}])
    secrets = [item["valueFrom"]["secretKeyRef"]["name"] for item in pod["containers"][0]["env"] if "valueFrom" in item]
    assert set(secrets) == {"audit-s3"}


async def test_it_runs_from_when_it_leads_and_survives_refusals(bench: Bench) -> None:
    leading = asyncio.Event()
    task = asyncio.create_task(bench.delivery.run(leading))
    await bench.record(1)
    refusals = iter([refusal(403), refusal(500)])
    bench.cluster.fault = lambda _verb, kind: next(refusals, None) if kind == "Job" else None
    leading.set()
    while bench.outbox.pending:
        await asyncio.sleep(0)
        assert not task.done(), task.exception()
    task.cancel()

    assert bench.numbers == [1]
    assert next(refusals, None) is None
