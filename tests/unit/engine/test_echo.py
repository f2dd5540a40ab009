"""A watch that stays behind what is known from elsewhere is deaf; one that owes nothing is not."""

from __future__ import annotations

from typing import Any, cast

import pytest

from modelyard.decision import Manifest
from modelyard.engine.echo import Echo
from modelyard.engine.kube import Kube, KubeError


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
def echo(clock: Clock) -> Echo:
    return Echo(("Job", "Pod"), clock)


def job(version: int, kind: str = "Job") -> dict[str, Any]:
    return {"kind": kind, "metadata": {"name": "run", "namespace": "team", "resourceVersion": str(version)}}


def test_a_write_that_comes_back_is_heard(echo: Echo, clock: Clock) -> None:
    echo.expect(job(5))
    clock.now = 3.0
    assert echo.lags() == {"Job": 3.0, "Pod": 0.0}
    echo.heard(job(4))
    assert echo.lag == 3.0
    echo.heard(job(5))
    assert echo.lag == 0.0


def test_events_of_another_kind_do_not_count(echo: Echo, clock: Clock) -> None:
    echo.expect(job(5))
    echo.heard(job(9, "Pod"))
    clock.now = 2.0
    assert echo.lag == 2.0


def test_the_oldest_debt_counts(echo: Echo, clock: Clock) -> None:
    echo.expect(job(5))
    clock.now = 2.0
    echo.expect(job(6))
    assert echo.lag == 2.0


def test_a_write_that_changed_nothing_is_not_owed(echo: Echo, clock: Clock) -> None:
    echo.heard(job(7))
    echo.expect(job(7))
    clock.now = 9.0
    assert echo.lag == 0.0


def test_kinds_without_a_watch_are_left(echo: Echo, clock: Clock) -> None:
    echo.expect(job(5, "Lease"))
    clock.now = 9.0
    assert echo.lag == 0.0


@pytest.mark.parametrize(
    ("answer", "lag"),
    [(None, 0.0), (job(5), 20.0), (KubeError(0, "no answer"), 0.0)],
    ids=["gone", "still there", "no API server"],
)
async def test_what_no_watch_could_show_is_forgiven(
    echo: Echo, clock: Clock, answer: Manifest | KubeError | None, lag: float
) -> None:
    api = Api()
    api.answer = answer
    echo.expect(job(5))
    clock.now = 20.0
    await echo.forgive(cast(Kube, api))
    assert echo.lag == lag


async def test_a_debt_after_the_api_server_was_away_grows_again(echo: Echo, clock: Clock) -> None:
    api = Api()
    api.answer = KubeError(0, "no answer")
    echo.expect(job(5))
    clock.now = 300.0
    await echo.forgive(cast(Kube, api))
    clock.now = 340.0
    assert echo.lag == 40.0
