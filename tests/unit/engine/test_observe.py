"""Observe ends, or says that it does not."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from modelyard.decision import Decision, Manifest, Need, Observed, Reconciler, Ref
from modelyard.engine.context import Context
from modelyard.engine.facts import Facts
from modelyard.engine.observe import ROUNDS, EndlessNeedsError, observe
from tests.simulation import clock, wishes
from tests.simulation.client import Client, Faults
from tests.simulation.fake_api import FakeApi
from tests.simulation.fault_points import FaultPoints
from tests.simulation.operators import PLATFORM
from tests.simulation.story import Story

KEY = ("TrainingProfile", "", "default")


def asks(times: int) -> Reconciler:
    """A controller that asks for one thing more after each answer, so many times."""

    def needs(obj: Manifest, observed: Observed) -> Iterable[Need]:
        return [Ref("ConfigMap", f"c{number}", "a") for number in range(min(times, len(observed.objects) + 1))]

    return Reconciler("TrainingProfile", "trainingprofiles", False, needs, lambda *_: Decision({}), ())


async def observed(reconciler: Reconciler) -> set[Need]:
    client = Client(FakeApi(), "operator", Faults(), FaultPoints(1), Story())
    context = Context(kube=client, facts=Facts({}, clock.seconds), platform=PLATFORM, now=clock.now)
    return (await observe(reconciler, KEY, {**wishes.profile(), "metadata": {"name": "default", "uid": "u"}}, context))[
        1
    ]


async def test_as_many_rounds_as_there_are() -> None:
    assert len(await observed(asks(ROUNDS))) == ROUNDS


async def test_one_more_is_an_error_that_names_what_is_missing() -> None:
    with pytest.raises(EndlessNeedsError, match=f"{ROUNDS} rounds: .*c{ROUNDS}"):
        await observed(asks(ROUNDS + 1))
