"""Figure: the operator is killed; how long until the next event is handled?"""

from __future__ import annotations

import time

from dev.bench import manifests
from dev.bench.figure import Figure, Row, median
from dev.bench.sightings import Sightings
from dev.bench.stage import Stage, stage

OBJECTS = 200


async def measure(quick: bool) -> Figure:
    """By SIGKILL, with objects to list; as the same pod (the container starts again) and as another one."""
    rounds, objects = (1, 20) if quick else (5, OBJECTS)
    async with stage() as on:
        namespace = await on.namespace("crash")
        await on.operator.start()
        async with Sightings(on.session, on.host, "Job", namespace) as jobs:
            for i in range(objects):
                await on.kube.create(manifests.finetunejob(namespace, f"old-{i:03d}"))
            await jobs.count(objects)
            again = [await _killed(on, jobs, namespace, f"again-{i}", "") for i in range(rounds)]
            other = [await _killed(on, jobs, namespace, f"other-{i}", f"pod-{i}") for i in range(rounds)]
    return Figure(
        "crash",
        f"Operator killed with {objects} FineTuneJobs: SIGKILL to the Job of a FineTuneJob created right after it",
        [
            Row("its container starts again, median", median(again), "s", target=15),
            Row("its container starts again, slowest", max(again), "s", target=15),
            Row("another pod takes over, median", median(other), "s", target=15),
            Row("another pod takes over, slowest", max(other), "s", target=15),
        ],
        [
            "The process is started again at once, as the kubelet does after a first crash. The same pod keeps its "
            "name and so the Lease; another one waits until the Lease of the dead one has run out (10 s).",
        ],
    )


async def _killed(on: Stage, jobs: Sightings, namespace: str, name: str, identity: str) -> float:
    killed = time.perf_counter()
    await on.operator.kill()
    on.operator.launch(identity)
    await on.kube.create(manifests.finetunejob(namespace, name))
    return await jobs.first(f"{name}-") - killed
