from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest
import uvloop

from modelyard.engine.apply import RefusedError
from modelyard.engine.cache import Key
from modelyard.engine.queue import WorkQueue
from tests.simulation import clock

A: Key = ("Dataset", "team", "a")
B: Key = ("Dataset", "team", "b")


class Recorder:
    """Work that notes when it began and how many ran at once."""

    def __init__(self, takes: float = 0.0, then: Callable[[int], float | None] = lambda n: None) -> None:
        self.began: list[tuple[float, Key]] = []
        self.running: Counter[Key] = Counter()
        self.most: Counter[str] = Counter()
        self._takes, self._then = takes, then

    async def __call__(self, key: Key) -> float | None:
        self.began.append((round(clock.seconds(), 3), key))
        self.running[key] += 1
        self.most["of one"] = max(self.most["of one"], self.running[key])
        self.most["of all"] = max(self.most["of all"], self.running.total())
        await asyncio.sleep(self._takes)
        self.running[key] -= 1
        return self._then(len(self.began))

    def times(self, key: Key = A) -> list[float]:
        return [at for at, k in self.began if k == key]


def lived(work: Recorder, script: Callable[[WorkQueue], Awaitable[None]], **more: Any) -> None:
    """Run a queue while a script plays, in virtual time."""

    async def play() -> None:
        queue = WorkQueue(work, **more)
        task = asyncio.create_task(queue.run())
        await asyncio.sleep(0)
        await script(queue)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    main: Coroutine[Any, Any, None] = play()
    clock.run(main)


def test_equal_requests_are_one_pass() -> None:
    async def script(queue: WorkQueue) -> None:
        for _ in range(5):
            queue.add(A)
        queue.add(B)
        await asyncio.sleep(1)

    lived(work := Recorder(), script)
    assert (len(work.times(A)), len(work.times(B))) == (1, 1)


def test_a_request_during_the_pass_gives_exactly_one_more_never_at_once() -> None:
    async def script(queue: WorkQueue) -> None:
        queue.add(A)
        await asyncio.sleep(0.5)
        for _ in range(5):
            queue.add(A)
        await asyncio.sleep(5)

    lived(work := Recorder(takes=1.0), script)
    assert len(work.times()) == 2 and work.most["of one"] == 1


def test_no_more_passes_at_once_than_workers() -> None:
    async def script(queue: WorkQueue) -> None:
        for number in range(20):
            queue.add(("Dataset", "team", str(number)))
        await asyncio.sleep(100)

    lived(work := Recorder(takes=1.0), script, workers=3)
    assert len(work.began) == 20 and work.most["of all"] == 3


def test_the_earliest_of_several_times_counts_once() -> None:
    async def script(queue: WorkQueue) -> None:
        queue.add_after(A, 30.0)
        queue.add_after(A, 10.0)
        queue.add_after(A, 20.0)
        await asyncio.sleep(100)

    lived(work := Recorder(), script)
    assert work.times() == [pytest.approx(10.0, abs=0.01)]


def test_a_pass_says_when_to_look_again() -> None:
    async def script(queue: WorkQueue) -> None:
        queue.add(A)
        await asyncio.sleep(17)

    lived(work := Recorder(then=lambda n: 5.0 if n < 4 else None), script)
    assert work.times() == [pytest.approx(at, abs=0.01) for at in (0.0, 5.0, 10.0, 15.0)]


def failing(times: int) -> Callable[[int], float | None]:
    def then(n: int) -> float | None:
        if n <= times:
            raise RuntimeError("injected")
        return None

    return then


def test_failed_passes_are_tried_again_later_and_later_up_to_the_cap() -> None:
    async def script(queue: WorkQueue) -> None:
        queue.add(A)
        await asyncio.sleep(200)

    lived(work := Recorder(then=failing(12)), script, retry_cap=10.0, rng=random.Random(1))
    pauses = [b - a for a, b in zip(work.times(), work.times()[1:], strict=False)]
    bounds = [min(10.0, 0.2 * 2**n) for n in range(12)]
    assert len(pauses) == 12
    assert all(bound / 2 - 0.01 <= pause <= bound + 0.01 for pause, bound in zip(pauses, bounds, strict=True))


def test_a_good_pass_ends_the_backoff() -> None:
    def then(n: int) -> float | None:
        if n in (1, 2, 3, 5):
            raise RuntimeError("injected")
        return None

    async def script(queue: WorkQueue) -> None:
        queue.add(A)
        await asyncio.sleep(50)
        queue.add(A)
        await asyncio.sleep(50)

    lived(work := Recorder(then=then), script)
    assert work.times()[5] - work.times()[4] <= 0.21


def test_a_key_that_is_gone_is_not_looked_at_again() -> None:
    async def script(queue: WorkQueue) -> None:
        queue.add_after(A, 10.0)
        queue.forget(A)
        await asyncio.sleep(100)

    lived(work := Recorder(), script)
    assert work.began == []


def test_a_pass_under_way_ends_when_the_queue_is_stopped() -> None:
    ended: list[Key] = []

    async def work(key: Key) -> float | None:
        await asyncio.sleep(3.0)
        ended.append(key)
        return None

    async def play() -> None:
        queue = WorkQueue(work)
        task = asyncio.create_task(queue.run())
        queue.add(A)
        await asyncio.sleep(1.0)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    clock.run(play())
    assert ended == [A]


def test_it_has_caught_up_while_no_key_waits_for_a_worker() -> None:
    seen = []

    async def script(queue: WorkQueue) -> None:
        seen.append(queue.caught_up.is_set())
        queue.add(A)
        queue.add(B)
        for _ in range(2):
            await asyncio.sleep(0.6)
            seen.append(queue.caught_up.is_set())

    lived(Recorder(takes=1.0), script, workers=1)
    assert seen == [True, False, True]


def test_a_stopped_queue_keeps_nobody_waiting() -> None:
    async def play() -> bool:
        queue = WorkQueue(Recorder(takes=100.0), workers=1)
        task = asyncio.create_task(queue.run())
        await asyncio.sleep(0)
        queue.add(A)
        queue.add(B)
        await asyncio.sleep(1)
        task.cancel()
        await asyncio.wait([task])
        return queue.caught_up.is_set()

    assert clock.run(play())


def test_pauses_of_no_time_on_the_operators_own_loop() -> None:
    """Where such a timer is another object than others."""

    async def play() -> list[float]:
        work = Recorder()
        queue = WorkQueue(work)
        task = asyncio.create_task(queue.run())
        await asyncio.sleep(0)
        for _ in range(2):
            queue.add_after(A, 0.0)
        await asyncio.sleep(0.05)
        task.cancel()
        await asyncio.wait([task])
        return work.times()

    assert len(uvloop.run(play())) == 1


@pytest.mark.parametrize(("fault", "traced"), [(RefusedError("ConfigMap too long"), False), (ValueError("bug"), True)])
def test_a_refusal_is_logged_without_a_traceback(
    fault: Exception, traced: bool, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(number: int) -> float | None:
        raise fault

    async def script(queue: WorkQueue) -> None:
        queue.add(A)
        await asyncio.sleep(5)

    lived(Recorder(then=fail), script)
    told = [record for record in caplog.records if "reconcile failed" in record.message]
    assert told and all(bool(record.exc_info) is traced for record in told)
    assert str(fault) in told[0].message
