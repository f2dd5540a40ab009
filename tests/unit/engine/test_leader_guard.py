"""The guard: nothing is written without the Lease, and clocks that are set neither stop nor double leaders."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from kubernetes.aio.leaderelection import leaderelection
from kubernetes.aio.leaderelection.leaderelectionrecord import LeaderElectionRecord

from modelyard.decision import Manifest
from modelyard.engine import lease
from modelyard.engine.context import SLEW, steady
from modelyard.engine.kube import Kube, KubeError
from modelyard.engine.leader_guard import GuardedKube
from modelyard.engine.lease import KubeLease

NOW = datetime(2026, 11, 22, tzinfo=UTC)
JOB: Manifest = {"kind": "Job", "metadata": {"name": "run", "namespace": "team"}}


class Gate:
    held = True


class Recorder:
    """Takes every call."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def __getattr__(self, verb: str) -> Any:
        async def call(*args: Any) -> Manifest:
            self.calls.append(verb)
            return JOB

        return call


async def test_without_the_lease_everything_can_be_read_and_nothing_written() -> None:
    gate, real = Gate(), Recorder()
    kube = GuardedKube(cast(Any, real), gate)
    for held in (True, False):
        gate.held = held
        await kube.get("Job", "team", "run")
        for write in (
            lambda: kube.create(JOB),
            lambda: kube.apply(JOB),
            lambda: kube.patch("Job", "team", "run", {}),
            lambda: kube.delete("Job", "team", "run"),
        ):
            if held:
                await write()
            else:
                with pytest.raises(KubeError, match="the Lease is not ours"):
                    await write()
    assert real.calls == ["get", "create", "apply", "patch", "delete", "get"]


async def test_the_lease_counts_from_the_moment_at_which_its_renewal_was_sent() -> None:
    now = [100.0]

    class Slow:
        async def create(self, manifest: Manifest) -> Manifest:
            now[0] += 8.0
            return manifest

    lock = KubeLease(cast(Kube, Slow()), "modelyard", "me", lambda: now[0])
    await lock.create("lease", "modelyard", LeaderElectionRecord("me", "10", "", ""))
    assert lock.renewed == 100.0


def test_the_election_measures_durations_by_a_clock_that_nobody_sets() -> None:
    # In a process that also plays simulated lives the clock is theirs: the class is what main runs with.
    assert lease._Steady.time is time.monotonic
    assert leaderelection.time is not time


@pytest.mark.parametrize("jump", [timedelta(days=1), timedelta(hours=-2)])
def test_a_clock_that_is_set_is_followed_slowly(jump: timedelta) -> None:
    wall, seconds = [NOW], [0.0]
    now = steady(lambda: wall[0], lambda: seconds[0])
    assert now() == NOW
    wall[0] += jump
    wall[0], seconds[0] = wall[0] + timedelta(seconds=10), 10.0
    drift = now() - (NOW + timedelta(seconds=10))
    assert abs(drift) == timedelta(seconds=10 * SLEW)
    assert (drift > timedelta()) == (jump > timedelta())


def test_a_steady_clock_arrives_at_the_wall_clock() -> None:
    wall, seconds = [NOW], [0.0]
    now = steady(lambda: wall[0], lambda: seconds[0])
    wall[0], seconds[0] = NOW + timedelta(seconds=102), 100.0
    assert now() == wall[0]
