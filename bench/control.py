"""What is measured of the control plane. Each part starts with an operator of its own that has just become ready."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

from bench.field import Arrivals, Field, at_once, delete_all, finish_pods
from bench.figures import Figure, quantile
from perennial.core.kinds import JOB, TRAINING_JOB
from tests.support.harness import Harness, staged
from tests.support.kube import Raw, eventually
from tests.support.replay import prepared, settled
from tests.support.scenarios import (
    Scenario,
    end_training,
    have_served,
    nothing,
    start_training,
    training_spec,
    until_artifact,
    watch_and_ask,
)


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    burst: int
    paced_rate: int
    paced_seconds: int
    rest_seconds: int
    steps: tuple[int, ...]
    """Numbers of resources at which memory is read; the last one is restarted."""


FULL = Size(burst=1000, paced_rate=50, paced_seconds=20, rest_seconds=60, steps=(1000, 5000))
QUICK = Size(burst=200, paced_rate=50, paced_seconds=5, rest_seconds=15, steps=(200, 1000))

PACED_SHARE = 0.05
"""Share of the bare-Job ceiling that the steady stream takes."""

SPEC: Raw = {"image": "train:1", "command": ["train"], "parameters": {"depth": "6"}}
"""Publishes nothing, so that a pod's end alone completes it."""


async def burst(field: Field, size: Size) -> list[Figure]:
    """Many resources at once, against bare Jobs made by the same client."""
    bare = await _bare_jobs(field, size.burst, "bench-burst-bare")
    namespace = await field.kube.namespace("bench-burst")
    async with Arrivals.of(field.kube, JOB, namespace) as jobs:
        started = time.monotonic()
        await at_once([partial(_train, field, namespace, f"burst-{number}") for number in range(size.burst)])
        created = time.monotonic() - started
        last = await jobs.until(size.burst, 300)
    ours = size.burst / (last - started)
    await delete_all(field.kube, TRAINING_JOB, namespace)
    return [
        Figure("bare Jobs created by the same client", bare, "/s"),
        Figure("TrainingJobs accepted by the API server meanwhile", size.burst / created, "/s"),
        Figure(f"{size.burst} TrainingJobs at once reach their Jobs", ours, "/s"),
        Figure("share of the bare-Job ceiling", ours / bare, "", 0.25, "least"),
    ]


async def _bare_jobs(field: Field, number: int, name: str) -> float:
    """Return the rate at which Jobs as the operator makes them, but without an owner, are made in a new namespace."""
    namespace = await field.kube.namespace(name)
    async with Arrivals.of(field.kube, JOB, namespace) as jobs:
        await _train(field, namespace, "model")
        await jobs.until(1, 30)
    (made,) = await field.kube.list(JOB, namespace)
    template = made["spec"]["template"]
    template["metadata"]["labels"] = {"bench": "bare"}
    kept = ("backoffLimit", "completionMode", "completions", "parallelism", "podFailurePolicy")
    spec = {name: made["spec"][name] for name in kept} | {"template": template}
    await delete_all(field.kube, TRAINING_JOB, namespace)
    bodies = [
        {"metadata": {"name": f"bare-{item}", "labels": {"bench": "bare"}}, "spec": spec} for item in range(number)
    ]
    started = time.monotonic()
    await at_once([partial(field.kube.create, JOB, namespace, body) for body in bodies])
    rate = number / (time.monotonic() - started)
    await delete_all(field.kube, JOB, namespace)
    return rate


async def paced(field: Field, size: Size) -> list[Figure]:
    """A steady stream: from the moment a resource is sent until its Job is seen.

    Fifty a second was five in a hundred of the bare-Job ceiling where the bar was set; the same share of this
    machine's ceiling makes the figure comparable where the machine is slower, or busy.
    """
    ceiling = await _bare_jobs(field, size.burst // 2, "bench-paced-bare")
    share = max(1, round(PACED_SHARE * ceiling))
    figures = await _stream(field, "bench-share", share, size.paced_seconds, f"{PACED_SHARE:.0%} of the ceiling")
    return figures + await _stream(field, "bench-paced", size.paced_rate, size.paced_seconds, "")


async def _stream(field: Field, name: str, rate: int, seconds: int, words: str) -> list[Figure]:
    namespace = await field.kube.namespace(name)
    number = rate * seconds
    sent: dict[str, float] = {}
    async with Arrivals.of(field.kube, JOB, namespace) as jobs:
        started = time.monotonic()
        tasks = []
        for item in range(number):
            await asyncio.sleep(max(0.0, started + item / rate - time.monotonic()))
            name = f"paced-{item}"
            sent[f"{name}-1-0"] = time.monotonic()
            tasks.append(asyncio.create_task(_train(field, namespace, name)))
        await asyncio.gather(*tasks)
        await jobs.until(number, 120)
        waits = [1000 * (jobs.seen[name] - moment) for name, moment in sent.items()]
    await delete_all(field.kube, TRAINING_JOB, namespace)
    title = f"create to child at {rate}/s{f' ({words})' if words else ''}"
    return [
        Figure(f"{title}, p50", quantile(waits, 0.5), "ms"),
        Figure(f"{title}, p99", quantile(waits, 0.99), "ms", 100),
    ]


async def _one_training(env: Harness) -> None:
    await env.create(TRAINING_JOB, "churn", training_spec())
    pod = await start_training(env, "churn-1-0")
    await env.until_phase(TRAINING_JOB, "churn", "Running")
    await end_training(env, pod, "a")
    await until_artifact(env, "a")


LIVES = (
    Scenario("one training that succeeds", nothing, _one_training),
    Scenario("first rollout of a model", nothing, have_served),
    Scenario("first verdict of a monitor", have_served, watch_and_ask),
)


async def lives(field: Field, _: Size) -> list[Figure]:
    """Writes from a resource's creation to the end of its walk: one for each child, and three for status."""
    await field.operator.stop()  # each life has an operator of its own, and two would count each other's writes
    found = []
    for scenario in LIVES:
        async with staged(field.cluster, field.folder) as env:
            await prepared(scenario, env)
            await scenario.play(env)
            await settled(env, 2)
            children, writes = len(env.proxy.created()), len(env.proxy.writes)
            events = sum("/events" in write.path for write in env.proxy.uncounted)
        found.append(
            Figure(f"writes: {scenario.name} ({children} children; {events} Events apart)", writes, "", children + 3)
        )
    return found


async def many(field: Field, size: Size) -> list[Figure]:
    """Memory, rest and restart with thousands of resources that have each had a run."""
    namespace = await field.kube.namespace("bench-many")
    await asyncio.sleep(2)
    empty, have, figures = await field.rss(), 0, []
    for step in size.steps:
        await at_once([partial(_train, field, namespace, f"many-{item}") for item in range(have, step)])
        await finish_pods(field.kube, namespace, step - have, 600)
        await field.until_settled()
        have = step
        await asyncio.sleep(5)
        now = await field.rss()
        figures.append(Figure(f"memory with {step} resources, their Jobs and pods", now / 2**20, "MiB"))
    per = (now - empty) / have / 1024
    figures.insert(0, Figure("memory with none", empty / 2**20, "MiB"))
    figures.append(Figure("memory of each resource with its Job and pod", per, "KiB", 20))
    before = await field.writes()
    await asyncio.sleep(size.rest_seconds)
    figures.append(Figure(f"writes in {size.rest_seconds} s of rest", await field.writes() - before, "", 0))
    return figures + await _restart(field, have)


async def _restart(field: Field, number: int) -> list[Figure]:
    await field.operator.stop()
    started = time.monotonic()
    await field.operator.start(seconds=120)
    ready = time.monotonic() - started

    async def all_looked_at() -> bool:
        return await field.operator.metric("perennial_reconciles_total", kind="TrainingJob", result="done") >= number

    await eventually(all_looked_at, "every resource has been looked at", 120)
    looked = time.monotonic() - started
    await field.until_settled()
    return [
        Figure(f"restart with {number} resources: ready", ready, "s"),
        Figure(f"restart with {number} resources: all looked at", looked, "s"),
        Figure(f"restart with {number} resources: writes", await field.writes(), "", 0),
        Figure("memory after that restart", await field.rss() / 2**20, "MiB"),
    ]


async def _train(field: Field, namespace: str, name: str) -> None:
    await field.kube.create(TRAINING_JOB, namespace, {"metadata": {"name": name}, "spec": SPEC})


Part = Callable[[Field, Size], Awaitable[list[Figure]]]
PARTS: dict[str, Part] = {"burst": burst, "paced": paced, "lives": lives, "many": many}
