"""Figure: a thousand runs, one after the other in sixteen lanes; does memory grow, does the log hold an error?"""

from __future__ import annotations

import asyncio
import re
import time

from dev.bench.figure import Figure, Row
from dev.bench.hand import Hand
from dev.bench.stage import Stage, stage

LANES = 16
FAULT = re.compile(r"^\S+ \S+ (?:ERROR|CRITICAL) |^Traceback", re.MULTILINE)
WARNING = re.compile(r"^\S+ \S+ WARNING ", re.MULTILINE)
SETTLE = 15.0


async def measure(quick: bool) -> Figure:
    """Every run's objects are deleted after it, so that memory is compared with as many objects as before."""
    early, full, runs = (10, 20, 40) if quick else (200, 500, 1000)
    async with stage() as on:
        namespace = await on.namespace("soak")
        await on.operator.start()
        hand = Hand(on.kube, on.store)
        began = time.perf_counter()
        await _live(on, hand, namespace, range(early))
        first = on.operator.memory()
        await _live(on, hand, namespace, range(early, full))
        before = on.operator.memory()
        await _live(on, hand, namespace, range(full, runs))
        seconds, after, log = time.perf_counter() - began, on.operator.memory(), on.operator.log()
        left = sum([len(await on.kube.list(kind, namespace=namespace)) for kind in ("FineTuneJob", "ModelVersion")])
        cpu = on.operator.cpu()
    return Figure(
        "soak",
        f"{runs} runs from FineTuneJob to a Ready ModelVersion, {LANES} at a time",
        [
            Row(f"resident after {early} runs", first, "MB"),
            Row(f"resident after {full} runs", before, "MB"),
            Row(f"resident after {runs} runs", after, "MB"),
            Row(f"growth from {full} to {runs} runs", (after / before - 1) * 100, "%"),
            Row(f"growth from {early} to {runs} runs", (after / first - 1) * 100, "%", target=5),
            Row("errors in the log", len(FAULT.findall(log)), "lines", target=0),
            Row("warnings in the log", len(WARNING.findall(log)), "lines"),
            Row("objects left", left, ""),
            Row("it took", seconds, "s"),
            Row("operator: CPU per run", cpu / runs * 1000, "ms"),
        ],
        [
            "What the operator remembers for a while is bounded (512 specs and statuses, 128 results per other "
            "function, the ends of 1,000 objects, 1,000 answers) and full after some hundred runs; a leak is what "
            "grows after that.",
            "Real API server and store. Kubelet, Job controller and trainer are played by the benchmark, which "
            "publishes with the project's own code: a thousand real pods would take hours on two cores.",
        ],
    )


async def _live(on: Stage, hand: Hand, namespace: str, numbers: range) -> None:
    waiting = iter(numbers)

    async def lane() -> None:
        for number in waiting:
            await hand.live(namespace, f"soak-{number:04d}")
            await hand.clear(namespace, f"soak-{number:04d}")

    await asyncio.gather(*(lane() for _ in range(LANES)))
    await asyncio.sleep(SETTLE)
