from __future__ import annotations

import asyncio
from typing import Any

import pytest

from modelyard.api.progress import TrainerStatus
from modelyard.engine.cache import Key
from modelyard.engine.endpoint import progress_store
from modelyard.engine.endpoint.callers import Caller
from modelyard.engine.endpoint.progress_store import ProgressStore

OWNER: Key = ("FineTuneJob", "team-a", "reviews")


def a_caller(pod: str = "pod-0", job: str = "reviews-1") -> Caller:
    return Caller("team-a", job, "1", pod, f"uid-{pod}", OWNER)


def told(**values: float) -> TrainerStatus:
    return TrainerStatus.model_validate({"metrics": [{"name": k, "value": str(v)} for k, v in values.items()]})


def steps(step: int, loss: float = 0.5) -> TrainerStatus:
    return told(current_step=step, total_steps=100, loss=loss)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_store, "EVERY", 0.5)


async def shown(progress: ProgressStore, job: str = "reviews-1") -> dict[str, Any] | None:
    return await progress.read({"namespace": "team-a", "job": job})


async def test_the_first_post_is_shown_at_once_and_many_rarely() -> None:
    woken: list[Key] = []
    progress = ProgressStore(woken.append)
    assert await shown(progress) is None
    progress.post(a_caller(), steps(1))
    await asyncio.sleep(0.01)
    assert woken == [OWNER]
    for step in range(2, 50):
        progress.post(a_caller(), steps(step))
    await asyncio.sleep(0.01)
    assert woken == [OWNER]
    first = await shown(progress)
    assert first is not None and first["step"] == 1
    await asyncio.sleep(0.8)
    assert woken == [OWNER, OWNER]
    last = await shown(progress)
    assert last is not None and last["step"] == 49


async def test_many_runs_together_stay_within_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_store, "EVERY", 0.0)
    woken: list[Key] = []
    progress, runs, seconds = ProgressStore(woken.append), 100, 1.0
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    step = 0
    while loop.time() < end:
        step += 1
        for run in range(runs):
            progress.post(a_caller(job=f"reviews-{run}"), steps(step))
        await asyncio.sleep(0.05)
    assert 0.5 * progress_store.BUDGET * seconds <= len(woken) <= 1.1 * progress_store.BUDGET * seconds
    assert all([await shown(progress, f"reviews-{run}") for run in range(20)])


async def test_news_that_is_none_wakes_nobody() -> None:
    woken: list[Key] = []
    progress = ProgressStore(woken.append)
    for _ in range(2):
        progress.post(a_caller(), told(loss=0.5))
        await asyncio.sleep(0.8)
    assert woken == [OWNER]


async def test_what_a_post_leaves_out_stays() -> None:
    progress = ProgressStore(lambda key: None)
    progress.post(a_caller(), steps(50))
    progress.post(a_caller(), TrainerStatus(progress_percentage=100))
    await asyncio.sleep(0.01)
    found = await shown(progress)
    assert found is not None and (found["step"], found["steps"], found["loss"]) == (50, 100, 0.5)


async def test_time_left_is_our_own_reckoning() -> None:
    now = [100.0]
    progress = ProgressStore(lambda key: None, lambda: now[0])
    progress.post(a_caller(), TrainerStatus.model_validate({**steps(10).dump(), "estimatedRemainingSeconds": 5}))
    assert progress._entries["team-a", "reviews-1"].latest.seconds_left is None
    now[0] = 130.0
    progress.post(a_caller(), steps(40))
    assert progress._entries["team-a", "reviews-1"].latest.seconds_left == 83.7
    progress.post(a_caller("pod-1"), steps(20))
    assert progress._entries["team-a", "reviews-1"].latest.seconds_left is None
    now[0] = 140.0
    progress.post(a_caller("pod-1"), steps(30))
    assert progress._entries["team-a", "reviews-1"].latest.seconds_left == 93.8


async def test_percent_alone_is_enough() -> None:
    now = [0.0]
    progress = ProgressStore(lambda key: None, lambda: now[0])
    progress.post(a_caller(), TrainerStatus(progress_percentage=0))
    now[0] = 10.0
    progress.post(a_caller(), TrainerStatus(progress_percentage=25))
    latest = progress._entries["team-a", "reviews-1"].latest
    assert (latest.share, latest.seconds_left) == (0.21, 41.6)


async def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_store, "REMEMBERED", 3)
    progress = ProgressStore(lambda key: None)
    for number in range(10):
        progress.post(a_caller(job=f"j{number}"), steps(1))
    assert [job for _, job in progress._entries] == ["j7", "j8", "j9"]
