"""Figure: how many writes the whole life of a run costs the API server."""

from __future__ import annotations

import asyncio

from dev.bench import requests
from dev.bench.figure import Figure, Row
from dev.bench.hand import Hand
from dev.bench.stage import stage

SETTLE = 3.0


async def measure(quick: bool) -> Figure:
    """Lives that are played by hand; what the hand wrote is taken off."""
    number = 3 if quick else 20
    async with stage() as on:
        namespace = await on.namespace("lives")
        await on.operator.start()
        await asyncio.sleep(SETTLE)
        hand = Hand(on.kube, on.store)
        before = await requests.writes(on.session, on.host)
        await asyncio.gather(*(hand.live(namespace, f"life-{i}") for i in range(number)))
        await asyncio.sleep(SETTLE)
        made = await requests.writes(on.session, on.host) - before - hand.writes
    counted = requests.besides(made, "events", "leases")
    each = [Row(f"operator: {name}", n / number, "per run") for name, n in sorted(counted.items())]
    return Figure(
        "writes",
        f"Writes per run from FineTuneJob to a Ready ModelVersion, mean of {number} lives",
        [
            Row("operator: all writes but events and progress", counted.total() / number, "per run", target=10),
            *each,
            Row("operator: events posted", made["POST events"] / number, "per run"),
        ],
        ["Counted by the API server (apiserver_request_total), refused requests too; pods report no progress here."],
    )
