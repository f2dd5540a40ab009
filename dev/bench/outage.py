"""Figure: the API server is away for five minutes; how long after its return does the operator work?"""

from __future__ import annotations

import asyncio
import time

from dev.bench import manifests
from dev.bench.figure import Figure, Row
from dev.bench.measured_operator import MeasuredOperator
from dev.bench.sightings import Sightings
from dev.bench.stage import stage

AWAY = 300.0
PAUSES = (0.0, 10.0, 20.0, 40.0, 80.0, 160.0)
"""Seconds that the kubelet waits before it starts a container again, by the number of its ends."""


async def measure(quick: bool) -> Figure:
    """The operator gives its place up when it cannot renew its Lease; what starts it again is played here."""
    away = 15.0 if quick else AWAY
    async with stage() as on:
        namespace = await on.namespace("outage")
        await on.operator.start()
        await on.kube.create(manifests.finetunejob(namespace, "before"))
        async with Sightings(on.session, on.host, "Job", namespace) as jobs:
            await jobs.first("before-")
        kubelet = Kubelet(on.operator)
        playing = asyncio.create_task(kubelet.play())
        on.api.stop_apiserver()
        await asyncio.sleep(away)
        started = time.perf_counter()
        await asyncio.to_thread(on.api.start_apiserver)
        back = time.perf_counter()
        await on.kube.create(manifests.finetunejob(namespace, "after"))
        async with Sightings(on.session, on.host, "Job", namespace) as jobs:
            seen = await jobs.first("after-")
        playing.cancel()
    return Figure(
        "outage",
        f"API server away for {away:.0f} s: its start to the Job of a FineTuneJob created then",
        [
            Row("API server started to Job seen", seen - started, "s", target=60),
            Row("API server ready to Job seen", seen - back, "s", target=60),
            Row("starts of the operator meanwhile", kubelet.ends, ""),
        ],
        [
            "The API server is killed and started again on the same data; the operator's container is started again "
            "with the kubelet's pauses (0, 10, 20 ... s).",
        ],
    )


class Kubelet:
    """Starts the operator again whenever it ends, with the kubelet's pauses."""

    def __init__(self, operator: MeasuredOperator) -> None:
        self._operator = operator
        self.ends = 0

    async def play(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(0.2)
            if not self._operator.running():
                await asyncio.sleep(PAUSES[min(self.ends, len(PAUSES) - 1)])
                self.ends += 1
                self._operator.launch()
