"""What the probes and the scraper get."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from dev.localcluster.children import free_port
from modelyard.engine.health import STALE, Health


async def ask(path: str, *, beat: float = 0.0, lag: float = 0.0, ready: bool = True) -> tuple[int, str]:
    port, now = free_port(), asyncio.get_running_loop().time()
    health = Health(port, lambda: now - beat, lambda: lag, lambda: ready)
    await health.start()
    try:
        async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}{path}") as answer:
            return answer.status, await answer.text()
    finally:
        await health.stop()


@pytest.mark.parametrize(
    ("beat", "lag", "code", "told"),
    [
        (5.0, 0.0, 200, "ok"),
        (STALE + 2, 0.0, 500, "work queue has stood still"),
        (5.0, STALE - 2, 200, "ok"),
        (5.0, STALE + 2, 500, "a watch has shown nothing for"),
    ],
)
async def test_liveness(beat: float, lag: float, code: int, told: str) -> None:
    status, text = await ask("/healthz", beat=beat, lag=lag)
    assert status == code and told in text


async def test_readiness() -> None:
    assert (await ask("/readyz"))[0] == 200
    assert (await ask("/readyz", ready=False))[0] == 503


async def test_metrics_can_be_read() -> None:
    status, text = await ask("/metrics")
    names = {family.name for family in text_string_to_metric_families(text)}
    assert status == 200
    assert {"modelyard_build_info", "modelyard_queue_depth", "process_resident_memory_bytes"} <= names
