"""Figure: from the creation of one FineTuneJob to its Job, as a third party sees it."""

from __future__ import annotations

import asyncio
import time

from dev.bench import machine, manifests
from dev.bench.figure import Figure, Row, percentile
from dev.bench.plain import Plain, Shapes
from dev.bench.sightings import Sightings
from dev.bench.stage import Stage, stage

WARM_UP = 5
PAUSE = 0.05


async def measure(quick: bool) -> Figure:
    """One at a time, so that nothing waits for anything else."""
    number = 20 if quick else 100
    async with stage() as on:
        await on.operator.start()
        namespace = await on.namespace("alone")
        ours = (await _jobs(on, namespace, number + WARM_UP))[WARM_UP:]
        shapes = await Shapes.of(on.kube, namespace, "warm")
        await on.operator.stop()
        plain = await _plain(on, Plain(on.kube, shapes), number)
        raw = await _configmaps(on, number)
    return Figure(
        "create-to-job",
        f"FineTuneJob created to Job seen by another watcher, {number} one at a time",
        [
            Row("operator, p50", percentile(ours, 0.5), "ms", target=25),
            Row("operator, p99", percentile(ours, 0.99), "ms"),
            Row("peer: plain client making the same writes, p50", percentile(plain, 0.5), "ms"),
            Row("peer: plain client, p99", percentile(plain, 0.99), "ms"),
            Row("machine: ConfigMap created to seen, p50", percentile(raw, 0.5), "ms"),
            Row("machine: ConfigMap created to seen, p99", percentile(raw, 0.99), "ms"),
            *machine.disk_sync(),
        ],
        ["The clock starts before the client's request and stops when the watcher has the Job's event."],
    )


async def _jobs(on: Stage, namespace: str, number: int) -> list[float]:
    async with Sightings(on.session, on.host, "Job", namespace) as jobs:
        times = []
        for i in range(number):
            name = f"warm-{i}" if i < WARM_UP else f"alone-{i}"
            started = time.perf_counter()
            await on.kube.create(manifests.finetunejob(namespace, name))
            times.append((await jobs.first(f"{name}-") - started) * 1000)
            await asyncio.sleep(PAUSE)
        return times


async def _plain(on: Stage, plain: Plain, number: int) -> list[float]:
    namespace = await on.namespace("plain")
    async with Sightings(on.session, on.host, "Job", namespace) as jobs:
        times = []
        for i in range(number):
            started = time.perf_counter()
            await plain.run(namespace, f"plain-{i}")
            times.append((await jobs.first(f"plain-{i}") - started) * 1000)
            await asyncio.sleep(PAUSE)
        return times


async def _configmaps(on: Stage, number: int) -> list[float]:
    async with Sightings(on.session, on.host, "ConfigMap", "default") as maps:
        times = []
        for i in range(number):
            started = time.perf_counter()
            await on.kube.create(manifests.configmap("default", f"raw-{i:04d}"))
            times.append((await maps.first(f"raw-{i:04d}") - started) * 1000)
            await asyncio.sleep(PAUSE)
        return times
