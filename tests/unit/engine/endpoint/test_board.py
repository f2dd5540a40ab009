from __future__ import annotations

import asyncio
from typing import Any

import pytest

from modelyard.api.progress import TrainerStatus
from modelyard.engine.cache import Key
from modelyard.engine.endpoint import board as boards
from modelyard.engine.endpoint.board import Board
from modelyard.engine.endpoint.callers import Caller

OWNER: Key = ("FineTuneJob", "team-a", "reviews")


def a_caller(pod: str = "pod-0", job: str = "reviews-1") -> Caller:
    return Caller("team-a", job, "1", pod, f"uid-{pod}", OWNER)


def told(**values: float) -> TrainerStatus:
    return TrainerStatus.model_validate({"metrics": [{"name": k, "value": str(v)} for k, v in values.items()]})


def steps(step: int, loss: float = 0.5) -> TrainerStatus:
    return told(current_step=step, total_steps=100, loss=loss)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boards, "EVERY", 0.5)


async def shown(board: Board, job: str = "reviews-1") -> dict[str, Any] | None:
    return await board.progress({"namespace": "team-a", "job": job})


async def test_the_first_post_is_shown_at_once_and_many_rarely() -> None:
    woken: list[Key] = []
    board = Board(woken.append)
    assert await shown(board) is None
    board.post(a_caller(), steps(1))
    await asyncio.sleep(0.01)
    assert woken == [OWNER]
    for step in range(2, 50):
        board.post(a_caller(), steps(step))
    await asyncio.sleep(0.01)
    assert woken == [OWNER]
    first = await shown(board)
    assert first is not None and first["step"] == 1
    await asyncio.sleep(0.8)
    assert woken == [OWNER, OWNER]
    last = await shown(board)
    assert last is not None and last["step"] == 49


async def test_many_runs_together_stay_within_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boards, "EVERY", 0.0)
    woken: list[Key] = []
    board, runs, seconds = Board(woken.append), 100, 1.0
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    step = 0
    while loop.time() < end:
        step += 1
        for run in range(runs):
            board.post(a_caller(job=f"reviews-{run}"), steps(step))
        await asyncio.sleep(0.05)
    assert 0.5 * boards.BUDGET * seconds <= len(woken) <= 1.1 * boards.BUDGET * seconds
    assert all([await shown(board, f"reviews-{run}") for run in range(20)])


async def test_news_that_is_none_wakes_nobody() -> None:
    woken: list[Key] = []
    board = Board(woken.append)
    for _ in range(2):
        board.post(a_caller(), told(loss=0.5))
        await asyncio.sleep(0.8)
    assert woken == [OWNER]


async def test_what_a_post_leaves_out_stays() -> None:
    board = Board(lambda key: None)
    board.post(a_caller(), steps(50))
    board.post(a_caller(), TrainerStatus(progress_percentage=100))
    await asyncio.sleep(0.01)
    found = await shown(board)
    assert found is not None and (found["step"], found["steps"], found["loss"]) == (50, 100, 0.5)


async def test_time_left_is_our_own_reckoning() -> None:
    now = [100.0]
    board = Board(lambda key: None, lambda: now[0])
    board.post(a_caller(), TrainerStatus.model_validate({**steps(10).dump(), "estimatedRemainingSeconds": 5}))
    assert board._entries["team-a", "reviews-1"].latest.seconds_left is None
    now[0] = 130.0
    board.post(a_caller(), steps(40))
    assert board._entries["team-a", "reviews-1"].latest.seconds_left == 83.7
    board.post(a_caller("pod-1"), steps(20))
    assert board._entries["team-a", "reviews-1"].latest.seconds_left is None
    now[0] = 140.0
    board.post(a_caller("pod-1"), steps(30))
    assert board._entries["team-a", "reviews-1"].latest.seconds_left == 93.8


async def test_percent_alone_is_enough() -> None:
    now = [0.0]
    board = Board(lambda key: None, lambda: now[0])
    board.post(a_caller(), TrainerStatus(progress_percentage=0))
    now[0] = 10.0
    board.post(a_caller(), TrainerStatus(progress_percentage=25))
    latest = board._entries["team-a", "reviews-1"].latest
    assert (latest.share, latest.seconds_left) == (0.21, 41.6)


async def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boards, "REMEMBERED", 3)
    board = Board(lambda key: None)
    for number in range(10):
        board.post(a_caller(job=f"j{number}"), steps(1))
    assert [job for _, job in board._entries] == ["j7", "j8", "j9"]
