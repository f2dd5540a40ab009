"""Figure: a thousand FineTuneJobs at once, against a client that makes the same writes without deciding anything."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from dev.bench import manifests
from dev.bench.figure import Figure, Row, median, percentile
from dev.bench.plain import Plain, Shapes
from dev.bench.sightings import Sightings
from dev.bench.stage import Stage, stage

IN_FLIGHT = 16


@dataclass(frozen=True)
class Round:
    """One burst: seconds from the first create to the last Job seen, and each Job's delay."""

    seconds: float
    creating: float
    delays: list[float]
    cpu: float = 0.0
    memory: float = 0.0


async def measure(quick: bool) -> Figure:
    """Alternate both, so that the machine's mood meets both."""
    number, rounds = (200, 1) if quick else (1000, 3)
    ours, plain = [], []
    async with stage() as on:
        for i in range(rounds):
            ours.append(await _operator(on, f"ours-{i}", number))
            shapes = await Shapes.of(on.kube, f"ours-{i}", "burst")
            await on.operator.stop()
            plain.append(await _plain(on, Plain(on.kube, shapes), f"plain-{i}", number))
            for namespace in (f"ours-{i}", f"plain-{i}"):
                await on.empty(namespace)
    return _figure(ours, plain, number)


def _figure(ours: list[Round], plain: list[Round], number: int) -> Figure:
    mine, theirs = median([r.seconds for r in ours]), median([r.seconds for r in plain])
    delays = [delay for r in ours for delay in r.delays]
    return Figure(
        "burst",
        f"{number} FineTuneJobs created {IN_FLIGHT} in flight: first create to last Job seen",
        [
            Row("operator", mine, "s"),
            Row("operator", number / mine, "jobs/s"),
            Row("peer: plain client making the same writes, 16 in flight", theirs, "s"),
            Row("peer: plain client", number / theirs, "jobs/s"),
            Row("operator over plain client", theirs / mine, "ratio", target=0.7, sense="at least"),
            Row("creating alone took, beside the operator", median([r.creating for r in ours]), "s"),
            Row("operator: create to Job seen in the burst, p50", percentile(delays, 0.5), "s"),
            Row("operator: create to Job seen in the burst, p99", percentile(delays, 0.99), "s"),
            Row("operator: CPU per job", median([r.cpu for r in ours]) / number * 1000, "ms"),
            Row("operator: resident after the burst", max(r.memory for r in ours), "MB"),
        ],
        [
            f"Median of {len(ours)} alternating rounds, fresh namespaces; "
            f"ratio per round: {', '.join(f'{p.seconds / o.seconds:.2f}' for o, p in zip(ours, plain, strict=True))}.",
            "The operator shares the cores with API server, etcd, store and the creating client; beside these writes "
            "it reads the store once per job; its event per job waits while passes wait, 15 s at most.",
        ],
    )


async def _operator(on: Stage, namespace: str, number: int) -> Round:
    await on.namespace(namespace)
    await on.operator.start()
    cpu = on.operator.cpu()

    async def create(name: str) -> None:
        await on.kube.create(manifests.finetunejob(namespace, name))

    done = await _burst(on, namespace, number, create)
    await asyncio.sleep(2)
    return Round(done.seconds, done.creating, done.delays, on.operator.cpu() - cpu, on.operator.memory())


async def _plain(on: Stage, plain: Plain, namespace: str, number: int) -> Round:
    await on.namespace(namespace)
    return await _burst(on, namespace, number, lambda name: plain.run(namespace, name))


async def _burst(on: Stage, namespace: str, number: int, make: Callable[[str], Awaitable[None]]) -> Round:
    created: dict[str, float] = {}
    names = iter([f"burst-{i:04d}" for i in range(number)])

    async def maker() -> None:
        for name in names:
            created[name] = time.perf_counter()
            await make(name)

    async with Sightings(on.session, on.host, "Job", namespace) as jobs:
        started = time.perf_counter()
        await asyncio.gather(*(maker() for _ in range(IN_FLIGHT)))
        creating = time.perf_counter() - started
        last = await jobs.count(number)
        delays = [moment - created[name[:10]] for name, moment in jobs.seen.items()]
    return Round(last - started, creating, delays)
