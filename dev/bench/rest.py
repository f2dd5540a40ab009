"""Figure: what the operator uses when it has little or nothing to do."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from dev.bench import manifests, requests
from dev.bench.figure import Figure, Row
from dev.bench.sightings import Sightings
from dev.bench.stage import Stage, stage

IN_FLIGHT = 16
SETTLE = 5.0


@dataclass(frozen=True)
class Idle:
    """What happened while nothing happened."""

    writes: float
    renewals: float
    cpu: float


async def measure(quick: bool) -> Figure:
    """Memory with nothing, half of the objects, all of them, and after a restart with all; idle in between."""
    number, seconds = (100, 10.0) if quick else (1000, 120.0)
    async with stage() as on:
        namespace = await on.namespace("many")
        await on.operator.start()
        await asyncio.sleep(SETTLE)
        empty = on.operator.memory()
        await _fill(on, namespace, 0, number // 2)
        half = on.operator.memory()
        idle = await _idle(on, seconds)
        await _fill(on, namespace, number // 2, number)
        full, peak = on.operator.memory(), on.operator.peak()
        await on.operator.stop()
        start = await on.operator.start()
        await asyncio.sleep(SETTLE)
        again = on.operator.memory()
    return Figure(
        "rest",
        f"Memory, and {seconds:.0f} s of idleness with {number // 2} FineTuneJobs (each with its Job and ConfigMap)",
        [
            Row("resident with no objects", empty, "MB"),
            Row(f"resident with {number // 2} FineTuneJobs", half, "MB"),
            Row(f"resident with {number} FineTuneJobs", full, "MB", target=150),
            Row("largest resident on the way there", peak, "MB"),
            Row(f"resident after a restart with {number} FineTuneJobs", again, "MB", target=150),
            Row(f"restart to acting with {number} FineTuneJobs", start, "s"),
            Row("idle: writes besides the Lease", idle.writes, "per min", target=1),
            Row("idle: renewals of the Lease", idle.renewals, "per min"),
            Row("idle: CPU", idle.cpu, "% of core"),
        ],
    )


async def _fill(on: Stage, namespace: str, first: int, end: int) -> None:
    names = iter(range(first, end))

    async def maker() -> None:
        for i in names:
            await on.kube.create(manifests.finetunejob(namespace, f"many-{i:04d}"))

    async with Sightings(on.session, on.host, "Job", namespace) as jobs:
        await asyncio.gather(*(maker() for _ in range(IN_FLIGHT)))
        await jobs.count(end)
    await asyncio.sleep(SETTLE)


async def _idle(on: Stage, seconds: float) -> Idle:
    before, cpu, started = await requests.writes(on.session, on.host), on.operator.cpu(), time.monotonic()
    await asyncio.sleep(seconds)
    made = await requests.writes(on.session, on.host) - before
    minutes = (time.monotonic() - started) / 60
    share = (on.operator.cpu() - cpu) / (minutes * 60) * 100
    return Idle(requests.besides(made, "leases").total() / minutes, made["PUT leases"] / minutes, share)
