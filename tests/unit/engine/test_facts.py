from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest

from modelyard import names
from modelyard.decision import Answer, Fact
from modelyard.engine.facts import LIMIT, FactError, Facts
from modelyard.storage.errors import StoreError, Unavailable
from tests.simulation import clock


class Source:
    """A fact's function that counts, takes its time and fails on demand."""

    def __init__(self, *faults: Exception | None) -> None:
        self.asked: list[Mapping[str, str]] = []
        self._faults = list(faults)

    async def __call__(self, args: Mapping[str, str]) -> int:
        self.asked.append(args)
        await asyncio.sleep(0.1)
        fault = self._faults.pop(0) if self._faults else None
        if fault is not None:
            raise fault
        return len(self.asked)


def lived(source: Source, script: Callable[[Facts], Awaitable[Any]]) -> Any:
    async def play() -> Any:
        return await script(Facts({"f": source}, clock.seconds))

    return clock.run(play())


@pytest.mark.parametrize(("pause", "times"), [(5.0, 1), (9.8, 1), (10.5, 2)])
def test_an_answer_counts_as_long_as_the_asker_allows(pause: float, times: int) -> None:
    async def script(facts: Facts) -> None:
        await facts.ask(Fact.of("f", max_age=10.0))
        await asyncio.sleep(pause)
        await facts.ask(Fact.of("f", max_age=10.0))

    lived(source := Source(), script)
    assert len(source.asked) == times


def test_equal_questions_under_way_are_one() -> None:
    async def script(facts: Facts) -> list[Answer]:
        return await asyncio.gather(*(facts.ask(Fact.of("f", n="1")) for _ in range(5)))

    answers = lived(source := Source(), script)
    assert len(source.asked) == 1 and {answer.value for answer in answers} == {1}


def test_other_arguments_are_another_question() -> None:
    async def script(facts: Facts) -> None:
        await asyncio.gather(facts.ask(Fact.of("f", n="1")), facts.ask(Fact.of("f", n="2")))

    lived(source := Source(), script)
    assert sorted(args["n"] for args in source.asked) == ["1", "2"]


FAULTS: list[tuple[Exception, str]] = [
    (Unavailable("down"), names.STORE_UNAVAILABLE),
    (StoreError("down"), names.STORE_UNAVAILABLE),
    (FactError(names.PROBE_FAILED, "no answer"), names.PROBE_FAILED),
    (ValueError("a bug"), names.INTERNAL),
]


@pytest.mark.parametrize(("fault", "reason"), FAULTS)
def test_a_failed_answer_has_a_reason_and_is_asked_again_soon(fault: Exception, reason: str) -> None:
    async def script(facts: Facts) -> list[Answer]:
        answers = [await facts.ask(Fact.of("f", max_age=3600.0))]
        for pause in (1.0, 1.5):
            await asyncio.sleep(pause)
            answers.append(await facts.ask(Fact.of("f", max_age=3600.0)))
        return answers

    answers = lived(source := Source(fault), script)
    assert [answer.reason for answer in answers] == [reason, reason, ""]
    assert len(source.asked) == 2


def test_that_there_is_nothing_yet_is_asked_again_soon() -> None:
    found: list[str | None] = [None, "manifest"]

    async def play() -> list[Answer]:
        async def look(args: Mapping[str, str]) -> str | None:
            return found.pop(0)

        facts = Facts({"f": look}, clock.seconds)
        answers = [await facts.ask(Fact.of("f", max_age=0.0))]
        await asyncio.sleep(3.0)
        return [*answers, await facts.ask(Fact.of("f", max_age=3600.0))]

    assert [answer.value for answer in clock.run(play())] == [None, "manifest"]


def test_an_asker_that_gives_up_does_not_spoil_the_answer_of_others() -> None:
    async def script(facts: Facts) -> Answer:
        first = asyncio.create_task(facts.ask(Fact.of("f")))
        second = asyncio.create_task(facts.ask(Fact.of("f")))
        await asyncio.sleep(0.05)
        first.cancel()
        return await second

    assert lived(Source(), script).value == 1


def test_old_answers_are_forgotten_beyond_the_limit() -> None:
    async def script(facts: Facts) -> int:
        await asyncio.gather(*(facts.ask(Fact.of("f", n=str(n))) for n in range(LIMIT + 10)))
        return len(facts._known)

    assert lived(Source(), script) == LIMIT


def test_beyond_the_limit_the_oldest_go_not_the_short_ones() -> None:
    async def script(facts: Facts) -> None:
        await asyncio.gather(*(facts.ask(Fact.of("f", n=str(n), max_age=600.0)) for n in range(LIMIT + 10)))
        for _ in range(5):
            await facts.ask(Fact.of("f", n="short", max_age=30.0))

    lived(source := Source(), script)
    assert len(source.asked) == LIMIT + 11


def test_an_answer_of_no_use_any_more_is_forgotten() -> None:
    async def script(facts: Facts) -> list[int]:
        kept = []
        for age in (5.0, 60.0):
            await asyncio.gather(*(facts.ask(Fact.of("f", n=f"{age}-{i}", max_age=age)) for i in range(10)))
        for _ in range(3):
            kept.append(len(facts._known))
            await asyncio.sleep(30)
            await facts.ask(Fact.of("f", n="another", max_age=1.0))
        return kept

    assert lived(Source(), script) == [20, 11, 1]
