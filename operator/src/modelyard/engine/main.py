"""Run the operator: connect, lead, watch, work; end within 20 s of SIGTERM."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import signal
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from modelyard import names
from modelyard.decision import Manifest, Offer, Reconciler
from modelyard.engine import metrics
from modelyard.engine.context import Context
from modelyard.engine.effects import Effects, StoreEffects
from modelyard.engine.endpoint.callers import Callers
from modelyard.engine.endpoint.credentials import Credentials
from modelyard.engine.endpoint.progress_store import ProgressStore
from modelyard.engine.endpoint.server import Endpoint
from modelyard.engine.endpoint.startup import open_endpoint, token_service
from modelyard.engine.facts import Facts
from modelyard.engine.facts.capacity import capacity
from modelyard.engine.facts.namespace import namespace_labels
from modelyard.engine.facts.prediction import address, prediction
from modelyard.engine.facts.queue import queue_word
from modelyard.engine.facts.refused import refused_pod
from modelyard.engine.facts.store import StoreFacts, in_threads
from modelyard.engine.figures import Figures
from modelyard.engine.handlers import EndlessBackoff
from modelyard.engine.health import Health
from modelyard.engine.heap import give_back_forever
from modelyard.engine.kserve import KServe
from modelyard.engine.kube import Kube, KubeError
from modelyard.engine.lease import LeaseGuard
from modelyard.engine.loop import Engine
from modelyard.engine.resync import resync, resync_forever
from modelyard.engine.slim import CHILD_KINDS, KSERVE_KINDS
from modelyard.engine.staleness import WatchStaleness
from modelyard.engine.watch import Watch
from modelyard.settings import Settings
from modelyard.storage.store import Store

log = logging.getLogger(__name__)


def run(reconcilers: Sequence[Reconciler], offer: Offer, settings: Settings) -> int:
    """Run until SIGTERM or SIGINT (exit code 0) or until the Lease is lost (exit code 1)."""
    import uvloop

    _collect_rarely()
    _take_turns_often()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_run(reconcilers, offer, settings))


def _collect_rarely() -> None:
    """A cache of plain dictionaries makes no cycles, but Python would walk it for a tenth of all CPU time."""
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


def _take_turns_often() -> None:
    """A reconcile must not wait 5 ms for the watches' thread or the store's; switching costs microseconds."""
    sys.setswitchinterval(0.0005)


@dataclass(frozen=True)
class Parts:
    """What works together in one process."""

    settings: Settings
    kube: Kube
    guard: LeaseGuard
    engine: Engine
    staleness: WatchStaleness
    watch: Watch
    kserve: KServe
    endpoint: Endpoint
    health: Health


async def _run(reconcilers: Sequence[Reconciler], offer: Offer, settings: Settings) -> int:
    parts = _put_together(reconcilers, offer, settings, await Kube.connect())
    _measure(parts)
    stop = _stop_on_signals()
    await parts.health.start()
    tasks = [
        asyncio.create_task(_work(parts), name="work"),
        asyncio.create_task(parts.guard.run(), name="lease"),
        asyncio.create_task(parts.staleness.forgive_forever(parts.kube), name="staleness"),
        asyncio.create_task(give_back_forever(), name="heap"),
    ]
    stopping = asyncio.create_task(stop.wait())
    done, _ = await asyncio.wait([*tasks, stopping], return_when=asyncio.FIRST_COMPLETED)
    code = 0 if stopping in done else _report(done)
    await _wind_down(parts, tasks)
    return code


def _put_together(reconcilers: Sequence[Reconciler], offer: Offer, settings: Settings, kube: Kube) -> Parts:
    guard = LeaseGuard(kube, settings.namespace, settings.identity, settings.lease_duration)
    progress = ProgressStore(lambda key: engine.queue.add(key))
    context = _context(kube, settings, progress)
    engine = Engine(reconcilers, context, guard=guard, workers=settings.workers, retry_cap=settings.retry_cap)
    credentials = Credentials(context.cache, token_service(settings), settings.platform.store_bucket)
    loop, kinds = asyncio.get_running_loop(), (*engine.reconcilers, *CHILD_KINDS)
    staleness = WatchStaleness((*kinds, *KSERVE_KINDS))
    kube.on_write, kube.newest = staleness.expect, context.cache.newest
    watch = Watch(kinds, engine, loop, staleness)
    return Parts(
        settings,
        kube,
        guard,
        engine,
        staleness,
        watch,
        kserve=KServe(engine, kube, offer, guard, lambda: Watch(KSERVE_KINDS, engine, loop, staleness)),
        endpoint=Endpoint(Callers(kube, context.cache), progress, credentials),
        health=Health(
            settings.health_port, lambda: engine.queue.beat, lambda: staleness.lag, lambda: watch.listed and guard.held
        ),
    )


def _measure(parts: Parts) -> None:
    metrics.QUEUE_DEPTH.set_function(lambda: parts.engine.queue.depth)
    metrics.LEADING.set_function(lambda: parts.guard.held)
    metrics.REGISTRY.register(Figures(parts.engine.context.cache, parts.staleness.lags))


def _context(kube: Kube, settings: Settings, progress: ProgressStore) -> Context:
    platform = settings.platform
    store = Store.connect(
        platform.store,
        settings.store_access_key,
        settings.store_secret_key,
        timeout=10,
    )
    pool = ThreadPoolExecutor(max_workers=16, thread_name_prefix="store")
    functions = in_threads(pool, StoreFacts(store, platform.store_bucket).functions)
    effects = Effects(in_threads(pool, StoreEffects(store, platform.store_bucket).functions))
    functions |= {"prediction": prediction, "address": address, "capacity": capacity(kube)}
    functions |= {"refused_pod": refused_pod(kube), "queue_word": queue_word(kube)}
    functions["namespace_labels"] = namespace_labels(kube)
    functions["progress"] = progress.read
    return Context(kube=kube, facts=Facts(functions), platform=platform, effects=effects)


async def _work(parts: Parts) -> None:
    engine, kube, every = parts.engine, parts.kube, parts.settings.resync_every
    await _first_listing(engine, kube)  # kopf looks for kinds only once: they must be served before it starts
    await open_endpoint(parts.endpoint, engine.context, kube, parts.settings)
    parts.watch.start()
    await parts.watch.ready.wait()
    await parts.guard.wait()
    await _first_listing(engine, kube)
    await _ensure_default_profile(engine, kube)
    await parts.kserve.first_look()
    parts.watch.listed = True
    async with asyncio.TaskGroup() as together:
        together.create_task(engine.queue.run())
        together.create_task(resync_forever(engine, kube, every, parts.staleness, parts.watch.look_again))
        together.create_task(parts.kserve.run())


async def _first_listing(engine: Engine, kube: Kube) -> None:
    """No reconcile may see half of the objects: list all, however long the API server makes us wait."""
    for pause in EndlessBackoff():
        try:
            await resync(engine, kube)
            return
        except KubeError as fault:
            log.warning("cannot list yet: %s", fault)
            await asyncio.sleep(pause)


async def _ensure_default_profile(engine: Engine, kube: Kube) -> None:
    """An installation is usable at once: a profile named default, unless the platform team made profiles."""
    if await kube.list("TrainingProfile", limit=1):
        return
    profile: Manifest = {
        "apiVersion": names.API_VERSION,
        "kind": "TrainingProfile",
        "metadata": {"name": names.DEFAULT_PROFILE},
        "spec": {},
    }
    with contextlib.suppress(KubeError):
        engine.on_event("ADDED", await kube.create(profile))


def _stop_on_signals() -> asyncio.Event:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


def _report(done: Iterable[asyncio.Task[Any]]) -> int:
    for task in done:
        fault = task.exception() if not task.cancelled() else None
        if isinstance(fault, BaseExceptionGroup):
            fault = fault.exceptions[0]
        log.error("%s ended: %s", task.get_name(), fault or "the lease was lost to another operator", exc_info=fault)
    return 1


async def _wind_down(parts: Parts, tasks: Sequence[asyncio.Task[None]]) -> None:
    """Reconciles under way may end; 12 s at most."""
    parts.watch.stop()
    parts.kserve.close()
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks, timeout=12)
    await parts.engine.close()
    await parts.guard.release()
    await parts.endpoint.stop()
    await parts.health.stop()
    await parts.kube.close()
