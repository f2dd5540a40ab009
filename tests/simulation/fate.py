"""What is in store for runs and servers; a bad fate is one of the scenario's fault points."""

from __future__ import annotations

import random
from dataclasses import dataclass

from modelyard import names
from modelyard.api.run import REASONS, ExitCode
from tests.simulation.fault_points import FaultPoints

FINAL_CODES = (
    ExitCode.BAD_CONFIG,
    ExitCode.BAD_DATA,
    ExitCode.BASE_INVALID,
    ExitCode.NOT_A_NUMBER,
    ExitCode.EXPORT_DIFFERS,
    ExitCode.SOURCE_NOT_FOUND,
    ExitCode.STORE_DENIED,
)
POD_ENDS = {
    "published": 60,
    "final": 8,
    "oom": 3,
    "crash": 8,
    "evicted": 8,
    "nothing-published": 3,
    "killed-after-publish": 5,
    "store-unavailable": 5,
}
SERVER_WAYS = {"good": 60, "crash": 10, "slow": 8, "wrong-for-a-while": 8, "always-wrong": 3, "secret": 3}


@dataclass(frozen=True)
class PodFate:
    """One pod of a run: how long until it runs, how long it runs, and how it ends."""

    wait: float
    waiting_reason: str
    work: float
    end: str
    exit_code: int
    lag: float
    """Seconds until the Job controller writes down what happened."""
    words: str
    """What the program says at its end."""


@dataclass(frozen=True)
class ServerFate:
    """A version's server: how it behaves and how long it takes."""

    way: str
    start: float
    trouble: float
    """Seconds for which a passing trouble lasts."""


class Fates:
    """All fates of one scenario."""

    def __init__(
        self, fault_points: FaultPoints, bad_pods: float = 1.0, bad_servers: float = 1.0, longest: float = 60.0
    ) -> None:
        self._fault_points, self._longest = fault_points, longest
        self._bad_pods, self._bad_servers = bad_pods, bad_servers
        """Shares of the pods and servers whose fate is left to chance at all."""

    def rng(self, *about: object) -> random.Random:
        """Randomness of its own for everything that has a name."""
        return self._fault_points.rng(*about)

    def pod(self, run: str, index: int) -> PodFate:
        """The fate of the n-th pod of a run."""
        rng, name = self.rng("pod", run, index), f"{run}/{index}"
        left_to_chance = rng.random() < self._bad_pods
        end = self._pod_end(rng, name) if left_to_chance else "published"
        reason = rng.choice(("ImagePullBackOff", "Unschedulable", "SecretMissing"))
        held = rng.random() < 0.15 and left_to_chance and self._fault_points.comes_true(f"pod/{reason}/{name}")
        return PodFate(
            wait=rng.uniform(20.0, 90.0) if held else rng.uniform(0.2, 5.0),
            waiting_reason=reason if held else "",
            work=rng.uniform(1.0, self._longest),
            end=end,
            exit_code=int(_exit_code(end, rng)),
            lag=rng.uniform(0.05, 2.0),
            words=rng.choice(("boom", "bang")),
        )

    def server(self, name: str, version: str) -> ServerFate:
        """The fate of a version's server."""
        rng = self.rng("server", name, version)
        way = _draw(rng, SERVER_WAYS) if rng.random() < self._bad_servers else "good"
        if way != "good" and not self._fault_points.comes_true(f"server/{way}/{name}/{version}"):
            way = "good"
        return ServerFate(way, rng.uniform(1.0, 15.0), rng.uniform(10.0, 50.0))

    def _pod_end(self, rng: random.Random, name: str) -> str:
        end = _draw(rng, POD_ENDS)
        bad = end != "published" and self._fault_points.comes_true(f"pod/{end}/{name}")
        return end if bad else "published"


def reason_of(fate: PodFate, code: int) -> str:
    """The word that a run's failure bears when this was its last pod."""
    if fate.end == "oom":
        return names.OUT_OF_MEMORY
    if fate.end in ("nothing-published", "crash"):
        return names.TRAINER_FAILED
    return REASONS.get(ExitCode(code), names.TRAINER_FAILED)


def _exit_code(end: str, rng: random.Random) -> int:
    codes = {
        "published": 0,
        "nothing-published": 0,
        "crash": 1,
        "oom": 137,
        "evicted": 143,
        "killed-after-publish": 1,
        "store-unavailable": 30,
    }
    return codes[end] if end in codes else int(rng.choice(FINAL_CODES))


def _draw(rng: random.Random, weights: dict[str, int]) -> str:
    return rng.choices(list(weights), list(weights.values()))[0]
