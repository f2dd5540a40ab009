"""Resync: list what the watches should have shown, mend the cache, now and then look at every object again."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from http import HTTPStatus

from modelyard.decision import Manifest
from modelyard.engine import metrics
from modelyard.engine.cache import Key, key_of, version_of
from modelyard.engine.echo import Echo
from modelyard.engine.handlers import OURS
from modelyard.engine.kube import Kube, KubeError
from modelyard.engine.loop import Engine
from modelyard.engine.slim import CHILD_KINDS, CHILDREN, KSERVE_KINDS

log = logging.getLogger(__name__)
SOON = 10.0


async def resync_forever(engine: Engine, kube: Kube, every: float, echo: Echo, look_again: asyncio.Event) -> None:
    """Resync each `every` seconds until cancelled; soon after the watches have listed or were refused only mend.

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
            look = mend if clock() < due else resync
            mended = await look(engine, kube, echo)
            due = due if look is mend else clock() + every
        except KubeError as fault:
            log.warning("resync: %s", fault)
            look_again.set()
            continue
        if mended:
            metrics.RESYNC_MENDED.inc(mended)
            log.warning("resync: the watches had missed %d objects", mended)


async def resync(engine: Engine, kube: Kube, echo: Echo | None = None) -> int:
    """Mend, and look at every object again; gives how many objects the watches had missed."""
    mended = await mend(engine, kube, echo)
    engine.add_all()
    return mended


async def mend(engine: Engine, kube: Kube, echo: Echo | None = None) -> int:
    """List every kind and wake those whom news concern; gives how many objects the watches had missed.

    Owners first: a child is kept only where its owner is known.
    """
    kserve = KSERVE_KINDS if engine.world.platform.kserve else ()
    mended = [await resync_kind(engine, kube, kind, echo) for kind in (*engine.rooms, *kserve, *CHILD_KINDS)]
    metrics.RESYNCS.inc()
    return sum(mended)


async def resync_kind(engine: Engine, kube: Kube, kind: str, echo: Echo | None = None) -> int:
    """List one kind and mend the cache; gives how many objects the watch had missed."""
    before = {key: _version(engine, key) for key in engine.world.cache.keys(kind)}
    listed = await _list(kube, kind, engine.world.cache.keeps)
    mended = 0
    for obj in listed:
        mended += _is_missed(before.get(key_of(obj)), version_of(obj))
        if echo is not None:
            echo.expect(obj)
        engine.world.learn(obj)
    gone = set(before) - {key_of(obj) for obj in listed}
    for key in gone:
        known = engine.world.cache.get(*key)
        if known is not None and version_of(known) == before[key]:
            engine.on_event("DELETED", known)
    return mended


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
    obj = engine.world.cache.get(*key)
    return version_of(obj) if obj else 0
