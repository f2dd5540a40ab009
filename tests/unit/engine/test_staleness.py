"""A watch that stays behind what is known from elsewhere is stale; one that owes nothing is not."""

from __future__ import annotations

from typing import Any, cast

import pytest

from modelyard.decision import Manifest
from modelyard.engine.kube import Kube, KubeError
from modelyard.engine.staleness import WatchStaleness


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Api:
    """Answers `get` with what it is told."""

    answer: Manifest | KubeError | None = None

    async def get(self, *key: str) -> Manifest | None:
        if isinstance(self.answer, KubeError):
            raise self.answer
        return self.answer


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def staleness(clock: Clock) -> WatchStaleness:
    return WatchStaleness(("Job", "Pod"), clock)


def job(version: int, kind: str = "Job") -> dict[str, Any]:
    return {"kind": kind, "metadata": {"name": "run", "namespace": "team", "resourceVersion": str(version)}}


def test_a_write_that_comes_back_is_heard(staleness: WatchStaleness, clock: Clock) -> None:
    staleness.expect(job(5))
    clock.now = 3.0
    assert staleness.lags() == {"Job": 3.0, "Pod": 0.0}
    staleness.heard(job(4))
    assert staleness.lag == 3.0
    staleness.heard(job(5))
    assert staleness.lag == 0.0


def test_events_of_another_kind_do_not_count(staleness: WatchStaleness, clock: Clock) -> None:
    staleness.expect(job(5))
    staleness.heard(job(9, "Pod"))
    clock.now = 2.0
    assert staleness.lag == 2.0


def test_the_oldest_debt_counts(staleness: WatchStaleness, clock: Clock) -> None:
    staleness.expect(job(5))
    clock.now = 2.0
    staleness.expect(job(6))
    assert staleness.lag == 2.0


def test_a_write_that_changed_nothing_is_not_owed(staleness: WatchStaleness, clock: Clock) -> None:
    staleness.heard(job(7))
    staleness.expect(job(7))
    clock.now = 9.0
    assert staleness.lag == 0.0


def test_kinds_without_a_watch_are_left(staleness: WatchStaleness, clock: Clock) -> None:
    staleness.expect(job(5, "Lease"))
    clock.now = 9.0
    assert staleness.lag == 0.0


@pytest.mark.parametrize(
    ("answer", "lag"),
    [(None, 0.0), (job(5), 20.0), (KubeError(0, "no answer"), 0.0)],
    ids=["gone", "still there", "no API server"],
)
async def test_what_no_watch_could_show_is_forgiven(
    staleness: WatchStaleness, clock: Clock, answer: Manifest | KubeError | None, lag: float
) -> None:
    api = Api()
    api.answer = answer
    staleness.expect(job(5))
    clock.now = 20.0
    await staleness.forgive(cast(Kube, api))
    assert staleness.lag == lag


async def test_a_debt_after_the_api_server_was_away_grows_again(staleness: WatchStaleness, clock: Clock) -> None:
    api = Api()
    api.answer = KubeError(0, "no answer")
    staleness.expect(job(5))
    clock.now = 300.0
    await staleness.forgive(cast(Kube, api))
    clock.now = 340.0
    assert staleness.lag == 40.0
