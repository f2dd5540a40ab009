"""What a tenant can make the operator carry: objects that bear its labels, with weight wherever the API takes it."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dev.localcluster.waiting import wait_until
from modelyard import names
from modelyard.engine.heap import EVERY
from modelyard.engine.kube import Kube
from tests.cluster.attacks import A, Site
from tests.cluster.operator_process import operator_process

RETAINED_MB, PEAK_MB = 20.0, 64.0
"""Above the same start without a flood; docs/security.md says what was measured."""
NUMBER, ALL = 90, 600
"""Objects of a flood, and of the one that once ended an operator; each weighs up to 0.7 MB."""
LABELS = {names.MANAGED_BY: names.MANAGED_BY_VALUE, names.LABEL_KIND: "finetunejob"}
"""Anyone can copy them."""
Manifest = dict[str, Any]


def config_map(number: int) -> Manifest:
    """The weight is in the data."""
    return _made("v1", "ConfigMap", number, data={"rows": "x" * 700_000})


def annotated(number: int) -> Manifest:
    """The weight is in the annotations: the API takes 256 KiB per object."""
    made = _made("v1", "ConfigMap", number)
    made["metadata"]["annotations"] = {f"example.com/{part}": "x" * 2000 for part in range(120)}
    return made


def other_kinds(number: int) -> Manifest:
    """The weight is in the pods that they describe, and in annotations."""
    env = [{"name": f"N{part}", "value": "x" * 1000} for part in range(400)]
    pod = {
        "restartPolicy": "Always",
        "containers": [{"name": "x", "image": "x", "env": env}],
        "terminationGracePeriodSeconds": 0,
    }
    template = {"metadata": {"labels": {"a": "b"}}, "spec": pod}
    kinds = (
        _made("batch/v1", "Job", number, suspend=True, template={"spec": {**pod, "restartPolicy": "Never"}}),
        _made("apps/v1", "Deployment", number, replicas=0, selector={"matchLabels": {"a": "b"}}, template=template),
        _made("v1", "Service", number, ports=[{"port": 80}]),
        _made("v1", "Pod", number, **pod),
    )
    made = kinds[number % len(kinds)]
    made["metadata"]["annotations"] = {f"example.com/{part}": "x" * 2000 for part in range(120)}
    return made


def _made(version: str, kind: str, number: int, data: Any = None, **spec: Any) -> Manifest:
    meta = {"name": f"heavy-{number}", "namespace": A, "labels": LABELS, "annotations": dict[str, str]()}
    return {"apiVersion": version, "kind": kind, "metadata": meta} | ({"data": data} if data else {"spec": spec})


def all_ways(number: int) -> Manifest:
    """One after the other."""
    return (config_map, annotated, other_kinds)[number % 3](number // 3 if number % 3 == 2 else number)


FLOODS = {"data": config_map, "annotations": annotated, "others": other_kinds, "all": all_ways}


@dataclass(frozen=True)
class Weight:
    """Resident MB of the operator: now, and at most since the last start or reset."""

    now: float
    peak: float


def carried(site: Site, make: Callable[[int], Manifest], number: int) -> dict[str, Weight]:
    """What a flood costs an operator at work, and one that starts beside it, above the same without it."""
    leader = site.a.operator
    empty = started(site)
    reset_peak(leader.pid)
    before = weigh(leader.pid)
    with flood(site, [make(each) for each in range(number)]):
        full = started(site)  # the one at work has its rest meanwhile
        after = weigh(leader.pid)
    return {
        "at work": Weight(after.now - before.now, after.peak - before.now),
        "started": Weight(full.now - empty.now, full.peak - empty.peak),
    }


def started(site: Site) -> Weight:
    """An operator that lists and watches everything, and waits for the Lease that the one at work holds."""
    log, another = site.a.folder / "standby", {"MODELYARD_IDENTITY": "standby"}
    with operator_process(site.a.installed.operator.kubeconfig, "ops", log, another) as standby:
        wait_until(standby.alive, "operator", 60)
        settle(standby.pid)
        return weigh(standby.pid)


def settle(pid: int, window: float = 2.0) -> None:
    """Wait until the process uses less than a tenth of a core, and has given back what it used for a moment."""
    last = -1.0

    def quiet() -> bool:
        nonlocal last
        before, last = last, cpu(pid)
        return last - before < window / 10

    wait_until(quiet, "a quiet operator", 120, pause=window)
    time.sleep(EVERY + 1)


@contextmanager
def flood(site: Site, objects: list[Manifest]) -> Iterator[None]:
    """The objects exist, made by the tenant, until the block ends."""
    asyncio.run(_each(site, objects, Kube.create))
    try:
        yield
    finally:
        asyncio.run(_each(site, objects, _delete))


async def _each(site: Site, objects: list[Manifest], act: Callable[[Kube, Manifest], Awaitable[Any]]) -> None:
    kube, turn = await Kube.connect(str(site.alice.kubeconfig)), asyncio.Semaphore(4)

    async def one(obj: Manifest) -> None:
        async with turn:
            await act(kube, obj)

    try:
        await asyncio.gather(*map(one, objects))
    finally:
        await kube.close()


async def _delete(kube: Kube, obj: Manifest) -> None:
    await kube.delete(obj["kind"], A, obj["metadata"]["name"])


def weigh(pid: int) -> Weight:
    """As the kernel counts it."""
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    now, peak = (int(fields[name].split()[0]) / 1024 for name in ("VmRSS", "VmHWM"))
    return Weight(now, peak)


def reset_peak(pid: int) -> None:
    """From here on."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def cpu(pid: int) -> float:
    """Seconds so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
