"""Resync: list what the watches should have shown, repair the cache, now and then look at every object again."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from http import HTTPStatus

from modelyard.decision import Manifest
from modelyard.engine import metrics
from modelyard.engine.cache import Key, key_of, version_of
from modelyard.engine.handlers import OURS
from modelyard.engine.kube import Kube, KubeError
from modelyard.engine.loop import Engine
from modelyard.engine.slim import CHILD_KINDS, CHILDREN, KSERVE_KINDS
from modelyard.engine.staleness import WatchStaleness

log = logging.getLogger(__name__)
SOON = 10.0


async def resync_forever(
    engine: Engine, kube: Kube, every: float, staleness: WatchStaleness, look_again: asyncio.Event
) -> None:
    """Resync each `every` seconds until cancelled; soon after the watches have listed or were refused only repair.

    What is deleted between two listings is in no event. What a listing shows first must still come by the watch.

    Raises WentBackError.
    """
    clock = asyncio.get_running_loop().time
    due = clock() + every
    look_again.set()  # what was deleted after our first listing and before that of the watches
    while True:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(look_again.wait(), due - clock())
        await asyncio.sleep(SOON)
        look_again.clear()
        try:
            look = repair if clock() < due else resync
            repaired = await look(engine, kube, staleness)
            due = due if look is repair else clock() + every
        except KubeError as fault:
            log.warning("resync: %s", fault)
            look_again.set()
            continue
        if repaired:
            metrics.RESYNC_REPAIRED.inc(repaired)
            log.warning("resync: the watches had missed %d objects", repaired)


async def resync(engine: Engine, kube: Kube, staleness: WatchStaleness | None = None) -> int:
    """Repair, and look at every object again; gives how many objects the watches had missed."""
    repaired = await repair(engine, kube, staleness)
    engine.add_all()
    return repaired


async def repair(engine: Engine, kube: Kube, staleness: WatchStaleness | None = None) -> int:
    """List every kind and wake those whom news concern; gives how many objects the watches had missed.

    Owners first: a child is kept only where its owner is known.
    """
    kserve = KSERVE_KINDS if engine.context.platform.kserve else ()
    repaired = [
        await resync_kind(engine, kube, kind, staleness) for kind in (*engine.reconcilers, *kserve, *CHILD_KINDS)
    ]
    metrics.RESYNCS.inc()
    return sum(repaired)


async def resync_kind(engine: Engine, kube: Kube, kind: str, staleness: WatchStaleness | None = None) -> int:
    """List one kind and repair the cache; gives how many objects the watch had missed."""
    before = {key: _version(engine, key) for key in engine.context.cache.keys(kind)}
    listed = await _list(kube, kind, engine.context.cache.keeps)
    repaired = 0
    for obj in listed:
        repaired += _is_missed(before.get(key_of(obj)), version_of(obj))
        if staleness is not None:
            staleness.expect(obj)
        engine.context.learn(obj)
    gone = set(before) - {key_of(obj) for obj in listed}
    for key in gone:
        known = engine.context.cache.get(*key)
        if known is not None and version_of(known) == before[key]:
            engine.on_event("DELETED", known)
    return repaired


async def _list(kube: Kube, kind: str, keep: Callable[[Manifest], bool]) -> list[Manifest]:
    try:
        return await kube.list(kind, OURS if kind in CHILDREN else "", keep=keep)
    except KubeError as fault:
        if kind in KSERVE_KINDS and fault.status == HTTPStatus.NOT_FOUND:
            return []  # KServe was removed a moment ago
        raise


def _is_missed(known: int | None, listed: int) -> bool:
    return known is None or known < listed


def _version(engine: Engine, key: Key) -> int:
    obj = engine.context.cache.get(*key)
    return version_of(obj) if obj else 0
